"""Rows of a head that stand for no token: families pad their matrices to round sizes, and tokenizers leave ids out.

A softmax over all rows gives such rows a share, and whoever draws from it gets ids without a text. So logits are cut or
forbidden before anything is drawn or measured of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import nn

_ROUND = 64  # rows; GPUs multiply matrices of odd sizes several times slower than those rounded up
_NEVER = -1e9  # e^x is 0 exactly, and 0·x is a number, which 0·(−∞) in entropies and gradients is not


@dataclass(frozen=True)
class KnownTokens:
    """The ids that stand for a token: all below `size` but the `holes`."""

    size: int
    holes: tuple[int, ...] = ()

    @property
    def ids(self) -> list[int]:
        """The ids themselves."""
        holes = frozenset(self.holes)
        return [i for i in range(self.size) if i not in holes]

    def cut(self, matrix: torch.Tensor) -> torch.Tensor:
        """The first rows of a head's weight [V, D] or bias [V]: all that have to be multiplied, rounded up."""
        return matrix[: -(-self.size // _ROUND) * _ROUND]

    def forbid(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits [n, ≥ size] in which ids without a token have no share, in their own memory."""
        logits[:, self.size :] = _NEVER
        if self.holes:
            logits[:, _index(self.holes, logits.device)] = _NEVER
        return logits

    def drawable(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits [n, V] without the tail, and −∞ in the holes: what tokens are drawn from. May share memory."""
        logits = logits[:, : self.size]
        if self.holes:
            logits[:, _index(self.holes, logits.device)] = float("-inf")
        return logits


@lru_cache(maxsize=8)
def _index(ids: tuple[int, ...], device: torch.device) -> torch.Tensor:
    return torch.tensor(ids, device=device)


@contextmanager
def cut_head(head: nn.Module | None, known: KnownTokens | None) -> Iterator[None]:
    """Let a head multiply with `known.cut` of its rows only, without gradients; one that is no plain layer stays as it is."""
    if known is None or type(head) is not nn.Linear or "forward" in vars(head):
        yield
        return
    weight = known.cut(head.weight.detach())
    bias = None if head.bias is None else known.cut(head.bias.detach())
    vars(head)["forward"] = lambda x: F.linear(x, weight, bias)
    try:
        yield
    finally:
        vars(head).pop("forward")
