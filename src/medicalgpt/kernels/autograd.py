"""What torch hands to the `forward` and `backward` of an autograd function, for which it has no complete type."""

from typing import Protocol

import torch


class AutogradContext(Protocol):
    """The first argument of `forward` and `backward`. Functions that keep more than tensors extend it."""

    needs_input_grad: tuple[bool, ...]

    @property
    def saved_tensors(self) -> tuple[torch.Tensor, ...]:
        """What `save_for_backward` was given; None where it was given None."""
        ...

    def save_for_backward(self, *tensors: torch.Tensor | None) -> None:
        """Keep tensors for `backward`, checked by torch for changes in place."""
        ...

    def mark_non_differentiable(self, *outputs: torch.Tensor) -> None:
        """Say that these outputs of `forward` have no gradient."""
        ...
