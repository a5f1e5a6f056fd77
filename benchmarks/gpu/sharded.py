"""The section of gpu_check.py on divided models: one card is the first of many processes, whose messages come to nothing.

torch's fake process group answers at once and with nothing, so numbers mean nothing and memory means everything.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn

from gpu.facts import device, fact, synchronize
from gpu.measured import SIZES, TOLERANCE, _config, _model, _row, beside_peak


@contextmanager
def first_of(world: int) -> Iterator[None]:
    """This process is the first of so many, the others are not there."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=world)
    try:
        yield
    finally:
        dist.destroy_process_group()


def shard(smoke: bool) -> None:
    """What the first of 8 and of 64 processes holds: weights, gradients and moments exactly its part, the peak as estimated."""
    wrong = []
    for world in (8, 64):
        for method in ("full", "lora"):
            with first_of(world):
                held, due, used = _first(world, method, smoke)
            name = f"{method}, 1 of {world}"
            assert held == due, f"{name}: holds {held} bytes (weights, gradients, moments), its part is {due}"
            fits, beside = beside_peak(_estimate(world, method, smoke), used)
            wrong += [] if fits else [name]
            said = ", ".join(
                f"{what} {size / 1e6:.3f} MB" for what, size in zip(("weights", "gradients", "moments"), held)
            )
            fact(name, f"{said}; peak {beside}")
    assert not wrong, f"peak off by more than {TOLERANCE:.0%}: {', '.join(wrong)}"


def _size(smoke: bool) -> tuple[str, int]:
    return ("smoke", 256) if smoke else ("1.5B", 4096)


def _estimate(world: int, method: str, smoke: bool) -> int:
    from medicalgpt.memory.estimate import setup_for
    from medicalgpt.memory.footprint import estimate
    from medicalgpt.memory.shape import shape_of_config

    size, tokens = _size(smoke)
    setup = setup_for(
        "full" if method == "full" else "lora",
        "mixed",
        "cuda",
        row_tokens=tokens,
        rank=8,
        checkpointing=True,
        processes=world,
        shards=world,
    )
    return estimate(shape_of_config(_config(size)), setup).total


def _first(world: int, method: str, smoke: bool) -> tuple[list[int], list[int], int]:
    """Bytes of weights, gradients and moments that it holds, those of its part, and the card's peak of two steps."""
    from torch.distributed.device_mesh import init_device_mesh

    from medicalgpt.models.policy import CausalPolicy
    from medicalgpt.models.shard import Sharding
    from medicalgpt.objectives.language import SupervisedFineTuning
    from medicalgpt.training.supervised.module import StageModule

    size, tokens = _size(smoke)
    full, card = method == "full", torch.cuda.is_available()
    before = torch.cuda.memory_allocated() if card else 0
    model = _model(size, torch.float32 if full else torch.bfloat16, None if full else 8)
    model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    module = StageModule(CausalPolicy(model), SupervisedFineTuning())
    due = _part(module, world)
    module.divide(Sharding(init_device_mesh(device().type, (world,)), compute=torch.bfloat16 if full else None))
    if card:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    batch = _row(tokens, 64 if smoke else 512, SIZES[size][5])
    gradients = 0
    for _ in range(2):
        out = module(batch)
        (out["sum"] / out["count"]).backward()
        gradients = sum(map(_local, (p.grad for p in trained)))
        optimizer.step()
        optimizer.zero_grad()
    synchronize()
    moments = [v for entry in optimizer.state.values() for name, v in entry.items() if name.startswith("exp_avg")]
    held = [sum(map(_local, module.parameters())), gradients, sum(map(_local, moments))]
    return held, due, torch.cuda.max_memory_allocated() - before if card else 0


def _part(module: nn.Module, world: int) -> list[int]:
    """Bytes of the first process's part: of every matrix its share of the rows, rounded up."""
    sizes = [
        (math.ceil(p.shape[0] / world) * (p.numel() // p.shape[0]) * p.element_size(), p.requires_grad)
        for p in module.parameters()
    ]
    trained = sum(size for size, learns in sizes if learns)
    return [sum(size for size, _ in sizes), trained, 2 * trained]


def _local(tensor: torch.Tensor | None) -> int:
    assert tensor is not None
    part = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return int(part.nbytes)
