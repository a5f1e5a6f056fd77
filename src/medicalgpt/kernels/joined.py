"""Several optimizers that act as one: each has its groups of weights, all share the state that a checkpoint keeps."""

from collections.abc import Callable, Sequence
from typing import overload

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import StateDict


class Joined(Optimizer):
    """One step is a step of every part.

    Groups and state are the parts' own objects, so that schedules and checkpoints see one optimizer of torch. What a checkpoint
    brings back keeps its number type: torch would turn moments into the type of their weights, and the next step would not be
    that of an unbroken run.
    """

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.parts = tuple(parts)
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Give the parts their groups and the one state."""
        first = 0
        for part in self.parts:
            last = first + len(part.param_groups)
            part.param_groups, part.state = self.param_groups[first:last], self.state
            first = last

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """See `torch.optim.Optimizer`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: StateDict) -> None:
        """See `torch.optim.Optimizer`."""
        super().load_state_dict(state_dict)
        self._share()
        weights = [weight for group in self.param_groups for weight in group["params"]]
        for number, entry in state_dict["state"].items():
            held = self.state[weights[number]]
            for name, value in entry.items():
                if isinstance(value, torch.Tensor) and name != "step":
                    held[name] = self.place(name, value, weights[number])

    def place(self, name: str, value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """A tensor of a checkpoint as the optimizer of `weight` would hold it."""
        return value.to(weight.device, copy=True)
