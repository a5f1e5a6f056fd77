"""Which optimizers there are, and which weights GaLore is for. Imports nothing heavy: the command line asks."""

from collections.abc import Sequence
from typing import Final, Literal

Optimizer = Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor", "muon", "galore"]

GALORE_RANK: Final = 128
"""Directions that a gradient is projected to, where nothing else is said."""


def projected(shape: Sequence[int], rank: int) -> bool:
    """Whether GaLore projects a weight of this shape: a matrix with more rows and columns than `rank`."""
    return len(shape) == 2 and min(shape) > rank
