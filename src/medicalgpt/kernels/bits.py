"""A tensor's memory as whole numbers: what is equal in every bit, NaN included, and a number that tells most changes."""

from typing import Final

import torch

_WHOLE: Final = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@torch.no_grad()
def bits(tensor: torch.Tensor) -> torch.Tensor:
    """The same memory as whole numbers [elements], of 16-byte elements as bytes."""
    flat = tensor.detach().reshape(-1).contiguous()
    return flat.view(_WHOLE.get(flat.element_size(), torch.uint8))


def digest(tensor: torch.Tensor) -> int:
    """A number over a tensor's bits that no order of its elements changes, and nearly every change of one does."""
    return int(bits(tensor).sum(dtype=torch.int64))
