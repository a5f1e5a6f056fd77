"""What ranks of tests.ranks look at or change before they train."""

import json
import os
from typing import Any


def _local(tensor: Any) -> int:
    part = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return int(part.numel())


def held() -> None:
    """At every optimizer step, how much of weights, gradients and moments this rank holds; no weight is whole then."""
    from torch.distributed.tensor import DTensor
    from transformers import TrainerCallback

    from medicalgpt.training.supervised import trainer

    class Look(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            assert all(isinstance(p, DTensor) for p in model.parameters()), (
                "a weight is gathered at the optimizer's step"
            )
            self.gradients = sum(_local(p.grad) for p in model.parameters() if p.grad is not None)

        def on_step_end(
            self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **_: Any
        ) -> None:
            moments = [v for entry in optimizer.state.values() for n, v in entry.items() if n.startswith("exp_avg")]
            trained = [p for p in model.parameters() if p.requires_grad]
            found = {
                "weights": sum(_local(p) for p in model.parameters()),
                "gradients": self.gradients,
                "moments": sum(map(_local, moments)),
                "all": sum(p.numel() for p in model.parameters()),
                "trained": sum(p.numel() for p in trained),
            }
            os.write(1, f"HELD {json.dumps(found)}\n".encode())

    init = trainer.StageTrainer.__init__

    def looked_at(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.add_callback(Look())

    trainer.StageTrainer.__init__ = looked_at  # type: ignore[method-assign]


def bf16_on_this_machine() -> None:
    """`model.dtype=auto` takes bfloat16, as on a GPU."""
    import torch

    from medicalgpt.models import load
    from medicalgpt.training import policy

    pick = load.pick_dtype
    for module in (load, policy):
        module.pick_dtype = lambda wanted: torch.bfloat16 if wanted == "auto" else pick(wanted)  # type: ignore[attr-defined]


def late() -> None:
    """The second process begins its second batch three seconds late; who is a second behind is named."""
    import time

    from medicalgpt.training.heartbeat import Heartbeat
    from medicalgpt.training.supervised import trainer

    init, begin, begun = Heartbeat.__init__, trainer.StageTrainer._prepare_inputs, []

    def impatient(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.every, self.silent = 0.1, 1.0

    def slow(self: Any, inputs: Any) -> Any:
        begun.append(1)
        if os.environ["RANK"] == "1" and len(begun) == 2:
            time.sleep(3)
        return begin(self, inputs)

    Heartbeat.__init__ = impatient  # type: ignore[method-assign]
    trainer.StageTrainer._prepare_inputs = slow  # type: ignore[method-assign]


def too_large() -> None:
    """No process has room for the whole model, each for its part."""
    from medicalgpt.training import sharding

    sharding.fits = lambda config: False  # type: ignore[attr-defined]


def no_room_for_samples() -> None:
    """A device on which the gathered model has no room."""
    from medicalgpt.training.supervised import session

    session.has_room = lambda module: False  # type: ignore[attr-defined]


def no_room() -> None:
    """A device on which the gathered policy has no room."""
    from medicalgpt.training.rl import roles

    roles.has_room = lambda module: False  # type: ignore[attr-defined]


def little_main_memory() -> None:
    """The whole model does not fit, and a file holds little."""
    from medicalgpt.export import save
    from medicalgpt.training import publish

    publish.free_main_memory = lambda: 0  # type: ignore[attr-defined]
    save._LARGEST_FILE = "40KB"


def dies_writing_step_3() -> None:
    """Every process is killed while it writes its part of the checkpoint of step 3, as training goes on."""
    from torch.distributed.checkpoint import HuggingFaceStorageWriter

    write = HuggingFaceStorageWriter.write_data

    def dies(self: Any, *args: Any) -> Any:
        if "step-3" in str(self.path):
            os._exit(9)
        return write(self, *args)

    HuggingFaceStorageWriter.write_data = dies  # type: ignore[method-assign]


def second_disk_is_full() -> None:
    """The second process finds no room for its part of the checkpoint of step 2."""
    import errno

    from torch.distributed.checkpoint import HuggingFaceStorageWriter

    write = HuggingFaceStorageWriter.write_data

    def full(self: Any, *args: Any) -> Any:
        if "step-2" in str(self.path) and os.environ["RANK"] == "1":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, *args)

    HuggingFaceStorageWriter.write_data = full  # type: ignore[method-assign]


def forget_on_b() -> None:
    """The second machine has lost its reference caches."""
    import shutil

    if os.environ["RANK"] == "1":
        shutil.rmtree("cache/reference")


def turns() -> None:
    """Says when a model is loaded, and when its part is kept; the first process takes its time."""
    import time

    from medicalgpt.training.supervised import opening

    divided = opening._divided

    def told(*args: Any) -> Any:
        begun = time.monotonic()
        if os.environ["RANK"] == "0":
            time.sleep(1)
        found = divided(*args)
        os.write(1, f"TURN {json.dumps([begun, time.monotonic()])}\n".encode())
        return found

    opening._divided = told
