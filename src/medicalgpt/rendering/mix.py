"""Which samples an epoch takes, where entries of data.train or the replay text have a share of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medicalgpt.data.sources import Part
from medicalgpt.errors import DataError


@dataclass(frozen=True)
class Mix:
    """Indices of the samples of an epoch, and what the ledger says of each part with a share, by its number."""

    index: np.ndarray
    taken: dict[int, dict[str, object]]

    def named(self, parts: Sequence[Part]) -> list[dict[str, object]]:
        """As `Found.named`, with what was taken."""
        said = [part.as_dict() | ({"mix": self.taken[n]} if n in self.taken else {}) for n, part in enumerate(parts)]
        return [one for one, part in zip(said, parts) if not part.is_plain]


def mixed(sizes: np.ndarray, part_of: np.ndarray, parts: Sequence[Part], seed: int, unit: str = "tokens") -> Mix:
    """Samples whose sizes are in the proportions that `parts` ask for.

    Parts without a share are taken whole, once, and the others beside them, repeated where there are too few. Where every
    part has a share, the scarcest is taken whole and nothing is repeated. Which samples are taken depends on `seed`
    alone; they stay in the order of the rows.

    Args:
        sizes, part_of: of each sample, what counts of it, and the number of its part.

    Raises:
        DataError: a part of which no sample is left.
    """
    there = np.bincount(part_of, weights=sizes, minlength=len(parts))
    for part, size in zip(parts, there):
        if size == 0 and part.share is not None:
            raise DataError(
                f"{part.name}: no row of it is left to train on, so that it cannot have a share of {part.share:g}"
            )
    shares = np.asarray([part.share or 0.0 for part in parts])
    whole = np.asarray([part.share is None for part in parts])
    if whole.any():
        total = float(there[whole].sum()) / (1 - float(shares.sum()))
        if total == 0:
            raise DataError(
                "the entries of data.train without a share have no row left to train on, so that nothing can be mixed"
            )
    else:
        total = float((there / shares).min())
    chosen, taken = [np.flatnonzero(whole[part_of])], dict[int, dict[str, object]]()
    for number, part in enumerate(parts):
        if part.share is None:
            continue
        own = np.flatnonzero(part_of == number)
        drawn = own[draw(sizes[own], part.share * total, (seed, 13, number), again=bool(whole.any()))]
        chosen.append(drawn)
        taken[number] = _said(drawn, own, float(sizes[drawn].sum()), total, unit)
    return Mix(np.sort(np.concatenate(chosen)), taken)


def draw(sizes: np.ndarray, wanted: float, seed: Sequence[int], again: bool = True) -> np.ndarray:
    """Indices drawn by `seed` until their sizes make up `wanted`; with `again` from the start when all are taken."""
    chosen = [np.empty(0, np.int64)]
    taken, turn = 0, 0
    while taken < wanted and len(sizes) and (again or turn == 0):
        order = np.random.default_rng([*seed, turn]).permutation(len(sizes))
        sums = taken + np.cumsum(sizes[order].astype(np.int64))
        count = min(int(np.searchsorted(sums, wanted)) + 1, len(order))
        chosen.append(order[:count])
        taken, turn = int(sums[count - 1]), turn + 1
    return np.concatenate(chosen)


def _said(drawn: np.ndarray, own: np.ndarray, size: float, total: float, unit: str) -> dict[str, object]:
    distinct = len(np.unique(drawn))
    words = f"{size / total:.1%} of the {unit}, from {distinct:,} of {len(own):,} samples"
    if len(drawn) > len(own):
        words += f", each taken {len(drawn) / len(own):.1f} times"
    elif distinct < len(own):
        words += ", the others left out"
    return {"samples": distinct, "of": len(own), "taken": len(drawn), unit: int(size), "words": words}
