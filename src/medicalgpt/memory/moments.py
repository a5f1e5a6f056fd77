"""Bytes of an optimizer's state, and of what one step of it makes besides, from the shapes of trained weights alone."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, get_args

from medicalgpt.config.optimizers import GALORE_RANK, Optimizer, projected

OPTIMIZERS: Final[tuple[Optimizer, ...]] = get_args(Optimizer)

# Of bitsandbytes: smaller weights keep whole moments, and a scale in fp32 stands for so many of 8 bits.
_LEAST, _BLOCK = 4096, 256
# Copies in fp32 of one weight that are alive at once in a step, the weight itself, its gradient and moments left out; measured on a
# CPU with a matrix of 4096 × 4096. On a GPU AdamW in 8 bits is one kernel. Of GaLore a decomposition's, with 2048 × 2048.
_COPIES: Final = {"adamw_8bit": 5, "adafactor": 2, "muon": 3, "galore": 6}


@dataclass(frozen=True)
class Weight:
    """The shape of a weight, and whether its rows are tokens (an embedding, a head, an adapter on one)."""

    shape: tuple[int, ...]
    tokens: bool = False
    name: str = ""

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)


def state_bytes(optimizer: Optimizer, weights: Iterable[Weight], size: int, rank: int = GALORE_RANK) -> int:
    """Bytes of the state of all `weights`, of `size` bytes an element; GaLore with so many directions."""
    return sum(_state(optimizer, weight, size, rank) for weight in weights)


def _state(optimizer: Optimizer, weight: Weight, size: int, rank: int) -> int:
    n = weight.size
    if optimizer == "adafactor":  # in fp32, whatever the weight's type
        return 4 * (n // weight.shape[-1] + n // weight.shape[-2] if len(weight.shape) > 1 else n)
    if not _is_special(optimizer, weight, rank):
        return 2 * n * size
    if optimizer == "galore":  # two moments along the longer side, and the directions along the shorter
        return rank * (2 * max(weight.shape) + min(weight.shape)) * size
    return n * size if optimizer == "muon" else 2 * (n + 4 * -(-n // _BLOCK))


def _is_special(optimizer: Optimizer, weight: Weight, rank: int) -> bool:
    """Whether a weight is treated as the optimizer's name says; by AdamW otherwise."""
    if optimizer == "adafactor":
        return True
    if optimizer == "adamw" or weight.tokens:
        return False
    if optimizer == "galore":
        return projected(weight.shape, rank)
    return len(weight.shape) == 2 if optimizer == "muon" else weight.size >= _LEAST


def step_bytes(optimizer: Optimizer, weights: Iterable[Weight], rank: int = GALORE_RANK) -> int:
    """Most bytes that a step makes besides, one weight after the other; when activations are gone."""
    largest = max((weight.size for weight in weights if _is_special(optimizer, weight, rank)), default=0)
    return 4 * _COPIES.get(optimizer, 0) * largest
