"""How the processes of a run come together: who may have started them, and the groups in which they talk.

Two groups: the run's own, in which gradients are summed, and one over gloo that waits for half a day while one process alone
tokenizes, saves or measures. In the first a process that does not come is a fault after `distributed.timeout`.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Final

import torch.distributed as dist
from accelerate import PartialState
from torch.distributed.distributed_c10d import PrefixStore, Store

from medicalgpt.errors import ConfigError
from medicalgpt.generate.distributed import PATIENCE, meet
from medicalgpt.kernels.device import accelerator, backend, take_device

# Set by `accelerate launch` from its config file; transformers.Trainer would obey them behind our back.
_REPLACED: Final[Mapping[str, str]] = {
    "ACCELERATE_USE_FSDP": "distributed.shard=full",
    "ACCELERATE_USE_DEEPSPEED": "distributed.shard=full (zero2: distributed.reshard=false as well)",
    "ACCELERATE_USE_MEGATRON_LM": "distributed.shard=full",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "distributed.shard=full or hybrid",
}


_store: Store | None = None
"""What the processes of this run talk through."""


def refuse_other_launchers(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse a launch whose wrapper would train something that cannot be saved.

    DeepSpeed's ZeRO-3 and accelerate's FSDP take the weights out of the model that is saved at the end: the run would say
    `finished` and leave empty tensors.

    Raises:
        ConfigError: with the key that does the same here.
    """
    asked = [name for name in _REPLACED if environ.get(name, "").lower() in ("1", "true", "yes", "on")]
    if asked:
        raise ConfigError(
            f"{asked[0]} is set: this launch wraps the model in accelerate's own sharding, with which the trained weights "
            f"cannot be saved here. Start with `torchrun --nproc_per_node N -m medicalgpt train …` and set {_REPLACED[asked[0]]}"
        )


def join(timeout: float) -> PartialState:
    """This process among those that torchrun started; alone where there are none. A second call changes nothing.

    Args:
        timeout: seconds that a process of the run may be behind the others in a step.

    Raises:
        ConfigError: as `refuse_other_launchers`.
    """
    refuse_other_launchers()
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if several and not dist.is_initialized():
        take_device()
        global _store
        _store, rank, size = meet()
        dist.init_process_group(
            backend(),
            store=PrefixStore("training", _store),
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=timeout),
        )
    if several:
        side_group()
    return PartialState(cpu=accelerator() is None)


def own_connection() -> Store | None:
    """A connection to what the processes talk through, for a thread of its own; None where there is one process only."""
    if not dist.is_initialized() or _store is None:
        return None
    return PrefixStore("own", _store.clone())  # type: ignore[attr-defined]  # torch's types lack it


def side_group() -> dist.ProcessGroup | None:
    """The group over gloo that waits for one process's own work; None where there is one process only."""
    return _side(dist.group.WORLD) if dist.is_initialized() else None


@lru_cache(maxsize=1)
def _side(world: dist.ProcessGroup) -> dist.ProcessGroup:
    group: dist.ProcessGroup = dist.new_group(backend="gloo", timeout=PATIENCE)
    return group
