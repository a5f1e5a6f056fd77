"""Best-fit packing of token trees into rows, and the plan of rows that a whole run will see.

The plan is a pure function of lengths, seed and settings: the same on every rank, every machine and after a resume.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, overload

import numpy as np

from medicalgpt.disk.arrays import Growing, spare

# Trees are packed inside shuffled windows of about this many rows: large enough for almost no padding, small enough
# that the order stays random.
WINDOW_ROWS = 64
_BLOCK: Final = 1 << 16  # numbers that are worked on together
_BLOCK_ROWS: Final = 1 << 10  # packed rows likewise, each with many items


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Pack items into bins of `capacity`, longest first, each into the fullest bin that still takes it.

    Returns:
        Bins of item indices; each bin's lengths sum to at most `capacity`, unless it holds one longer item alone.
    """
    bins: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (free tokens, bin), sorted, so the tightest fit is found by bisection
    for item in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        at = bisect_left(room, (lengths[item], -1))
        if at == len(room):
            bins.append([item])
            free, target = capacity - lengths[item], len(bins) - 1
        else:
            free, target = room.pop(at)
            bins[target].append(item)
            free -= lengths[item]
        if free > 0:
            insort(room, (free, target))
    return bins


def by_length(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Group items of similar length for padded batches: items × longest stays within `capacity`."""
    rows: list[list[int]] = []
    for item in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not rows or (len(rows[-1]) + 1) * lengths[rows[-1][0]] > capacity:
            rows.append([])
        rows[-1].append(item)
    return rows


def pack_epoch(
    lengths: np.ndarray, capacity: int, seed: int, epoch: int, padded: bool = False, folder: Path | None = None
) -> Iterator[list[int]]:
    """Rows of one pass over the data: shuffle, pack window by window, shuffle the rows of each window.

    Args:
        folder: where arrays of many numbers lie (`disk.arrays`).
    """
    group = by_length if padded else best_fit
    order = spare(len(lengths), np.int64, folder)
    for start in range(0, len(order), _BLOCK):
        order[start : start + _BLOCK] = np.arange(start, min(start + _BLOCK, len(order)))
    np.random.default_rng([seed, epoch]).shuffle(order)  # as `permutation`, which would have the array in memory
    rng = np.random.default_rng([seed, epoch, 1])
    start = 0
    for end in [*_windows(lengths, order, capacity * WINDOW_ROWS), len(order)]:
        window = order[start:end].tolist()
        packed = [[window[i] for i in row] for row in group([int(lengths[j]) for j in window], capacity)]
        yield from (packed[i] for i in rng.permutation(len(packed)))
        start = end


def _windows(lengths: np.ndarray, order: np.ndarray, size: int) -> list[int]:
    """Where in the order about so many tokens more have come, again and again."""
    total = sum(int(lengths[start : start + _BLOCK].sum()) for start in range(0, len(lengths), _BLOCK))
    wanted = np.arange(1, 2 + total // size) * size
    ends = np.full(len(wanted), len(order))
    before = 0
    for start in range(0, len(order), _BLOCK):
        sums = before + np.cumsum(lengths[order[start : start + _BLOCK]])
        first, last = np.searchsorted(wanted, [before, sums[-1]], side="right")
        ends[first:last] = start + np.searchsorted(sums, wanted[first:last])
        before = int(sums[-1])
    found: list[int] = ends.tolist()
    return found


class Rows(Sequence[tuple[int, ...]]):
    """Packed rows as one flat array of items and where each row ends in it, with `empty` rows without items at the end."""

    def __init__(self, items: np.ndarray, ends: np.ndarray, empty: int = 0, at: range | None = None) -> None:
        self.items, self.ends, self.empty = items, ends, empty
        self._at = range(len(ends) + empty) if at is None else at

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, index: int) -> tuple[int, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> "Rows": ...
    def __getitem__(self, index: int | slice) -> "tuple[int, ...] | Rows":
        if isinstance(index, slice):
            return Rows(self.items, self.ends, self.empty, self._at[index])
        row = self._at[index]
        if row >= len(self.ends):
            return ()
        return tuple(self.items[self.ends[row - 1] if row else 0 : self.ends[row]].tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other))

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class RunPlan:
    """Every packed row of a run in order; `rows_per_step` of them make one optimizer step.

    The last step of the run may be short; it is filled with empty rows, which carry no loss, so that every rank of a
    distributed run makes the same number of passes.
    """

    rows: Rows
    rows_per_step: int
    steps: int
    rows_per_epoch: int

    def __len__(self) -> int:
        return len(self.rows)

    def padding_fraction(self, lengths: np.ndarray, capacity: int) -> float:
        """Share of the rows' capacity that stays empty (no padding token is ever computed; this measures the packing)."""
        filled = taken = first = 0
        for start in range(0, len(self.rows.ends), _BLOCK_ROWS):
            ends = self.rows.ends[start : start + _BLOCK_ROWS]
            sums = np.concatenate([[0], np.cumsum(lengths[self.rows.items[first : ends[-1]]])])
            there = np.diff(sums[np.concatenate([[0], ends - first])])[np.diff(ends, prepend=first) > 0]
            filled, taken, first = filled + int(there.sum()), taken + int(np.maximum(there, capacity).sum()), ends[-1]
        return 1.0 - filled / taken


def plan_run(
    lengths: np.ndarray,
    capacity: int,
    rows_per_step: int,
    epochs: float,
    max_steps: int | None,
    seed: int,
    padded: bool = False,
    stretched: Sequence[tuple[int, float]] = (),
    folder: Path | None = None,
) -> RunPlan:
    """Lay out a run over trees of the given lengths (tokens).

    Args:
        lengths: tokens of each tree; for padded batches, those of its padded rows.
        capacity: tokens of one packed row.
        rows_per_step: packed rows behind one optimizer step, over all ranks.
        epochs: passes over the data; ignored when `max_steps` is set.
        stretched: (step, epochs) wherever a run was made longer that had come to this step of a plan of these epochs. A plan
            that ended with a step that was not full keeps that step, so that no row is passed over.
        folder: as for `pack_epoch`.
    """
    items, ends = Growing(folder), Growing(folder)

    def lay(rows: Iterable[list[int]]) -> None:
        for row in rows:
            items.extend(row)
            ends.extend([len(items)])

    lay(pack_epoch(lengths, capacity, seed, 0, padded, folder))
    first = len(ends)
    wanted = max_steps * rows_per_step if max_steps else max(1, round(epochs * first))
    epoch = 0
    while len(ends) < wanted:
        epoch += 1
        lay(islice(pack_epoch(lengths, capacity, seed, epoch, padded, folder), wanted - len(ends)))
    laid = ends.done()[:wanted]
    kept = 0  # empty rows of earlier ends
    for step, before in stretched:
        end = max(1, round(before * first)) + kept
        empty = -end % rows_per_step
        if (end + empty) // rows_per_step == step:
            at = min(end, len(laid))
            laid = np.insert(laid, at, [laid[at - 1]] * empty)
            kept += empty
    rows = Rows(items.done(), laid, -len(laid) % rows_per_step)
    return RunPlan(rows, rows_per_step, len(rows) // rows_per_step, first)
