"""Metric sums between two log lines, reduced over ranks as Σ sums / Σ counts."""

import math
from typing import Protocol

import torch

from medicalgpt.checkpoints.saved_files import MeterState


class Reducer(Protocol):
    """Sums a tensor over all processes: an accelerator, or the process group of reinforcement learning."""

    @property
    def device(self) -> torch.device: ...

    def reduce(self, tensor: torch.Tensor, how: str = ..., /) -> torch.Tensor: ...


class Meter:
    """Adds (sum, count) pairs; `drain` gives global means and starts anew."""

    def __init__(self, accelerator: Reducer) -> None:
        self.accelerator = accelerator
        self.sums: dict[str, list[float]] = {}
        self.tokens = 0

    def add(self, pairs: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Add the pairs of one micro-batch."""
        values = torch.stack(
            [torch.stack([s.detach().double(), c.detach().double()]) for s, c in pairs.values()]
        ).tolist()
        for name, (total, count) in zip(pairs, values):
            held = self.sums.setdefault(name, [0.0, 0.0])
            held[0] += total
            held[1] += count

    def join(self, other: "Meter") -> None:
        """Take over what another meter of this process has counted."""
        for name, (total, count) in other.sums.items():
            held = self.sums.setdefault(name, [0.0, 0.0])
            held[0] += total
            held[1] += count

    def means(self) -> dict[str, float]:
        """Global means by name; nothing is forgotten."""
        names = sorted(self.sums)
        table = torch.tensor([self.sums[n] for n in names], dtype=torch.float64)
        table = self.accelerator.reduce(table.to(self.accelerator.device), "sum").cpu()
        return {n: float(s / c) if c else 0.0 for n, (s, c) in zip(names, table.tolist())}

    def drain(self) -> tuple[dict[str, float], int]:
        """Global means by name (with perplexity where there is an NLL) and the tokens seen by all ranks."""
        names = sorted(self.sums)
        table = torch.tensor([*(self.sums[n] for n in names), [float(self.tokens), 0.0]], dtype=torch.float64)
        table = self.accelerator.reduce(table.to(self.accelerator.device), "sum").cpu()
        # What counted nothing has no mean, such as the reward of a kind of answer that these steps had none of.
        values = {n: float(s / c) if c else 0.0 for n, (s, c) in zip(names, table.tolist()) if c or n == "loss"}
        if "nll" in values:
            values["perplexity"] = math.exp(min(values.pop("nll"), 80.0))
        tokens = int(table[-1, 0])
        self.sums, self.tokens = {}, 0
        return values, tokens

    def state(self) -> MeterState:
        """Global sums for a checkpoint (the same on every rank)."""
        names = sorted(self.sums)
        table = torch.tensor([*(self.sums[n] for n in names), [float(self.tokens), 0.0]], dtype=torch.float64)
        totals = self.accelerator.reduce(table.to(self.accelerator.device), "sum").cpu().tolist()
        return {"sums": dict(zip(names, totals)), "tokens": int(totals[-1][0])}

    def restore(self, state: MeterState, main: bool) -> None:
        """Take sums back from a checkpoint: rank 0 holds them, the others start at zero."""
        self.sums = {n: list(p) if main else [0.0, 0.0] for n, p in state["sums"].items()}
        self.tokens = state["tokens"] if main else 0
