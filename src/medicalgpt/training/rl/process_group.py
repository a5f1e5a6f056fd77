"""The processes of a run: sums over all of them, and gradients added up by hand.

Each process holds a part of an update's prompts, so their numbers of forward passes differ; a wrapper that synchronizes
inside the backward pass would wait for ever. Divided models do, and there all processes run as many (`models/passes.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class ProcessGroup:
    """This process among `size`; also what `Meter` asks of an accelerator."""

    rank: int
    size: int
    device: torch.device

    def reduce(self, tensor: torch.Tensor, how: str = "sum") -> torch.Tensor:
        """The sum over all processes."""
        if self.size > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def sums(self, *values: float) -> list[float]:
        """Each value summed over all processes."""
        table = torch.tensor(values, dtype=torch.float64, device=self.device)
        return [float(v) for v in self.reduce(table)]

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its sum over all processes, in one message."""
        held = list(parameters)
        if self.size == 1 or not held:
            return
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1).float() for p in held])
        self.reduce(flat)
        at = 0
        for p in held:
            p.grad = flat[at : at + p.numel()].view_as(p).to(p.dtype)
            at += p.numel()

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in order."""
        if self.size == 1:
            return [value]
        out: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(out, value)
        return out

    def mine(self, rows: Sequence[Any]) -> tuple[int, Sequence[Any]]:
        """This process's contiguous part of `rows`, and the number of its first."""
        first, end = (len(rows) * r // self.size for r in (self.rank, self.rank + 1))
        return first, rows[first:end]
