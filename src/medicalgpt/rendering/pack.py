"""Best-fit packing of token trees into rows, and the plan of rows that a whole run will see.

The plan is a pure function of lengths, seed and settings: the same on every rank, every machine and after a resume.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Trees are packed inside shuffled windows of about this many rows: large enough for almost no padding, small enough
# that the order stays random.
WINDOW_ROWS = 64


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


def pack_epoch(lengths: np.ndarray, capacity: int, seed: int, epoch: int, padded: bool = False) -> list[list[int]]:
    """Rows of one pass over the data: shuffle, pack window by window, shuffle the rows of each window."""
    group = by_length if padded else best_fit
    order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
    rng = np.random.default_rng([seed, epoch, 1])
    ends = np.searchsorted(
        np.cumsum(lengths[order]),
        np.arange(1, 2 + int(lengths.sum()) // (capacity * WINDOW_ROWS)) * capacity * WINDOW_ROWS,
    )
    rows: list[list[int]] = []
    start = 0
    for end in [*ends, len(order)]:
        window = order[start:end]
        packed = [[int(window[i]) for i in row] for row in group([int(lengths[j]) for j in window], capacity)]
        rows += [packed[i] for i in rng.permutation(len(packed))]
        start = end
    return rows


@dataclass(frozen=True)
class RunPlan:
    """Every packed row of a run in order; `rows_per_step` of them make one optimizer step.

    The last step of the run may be short; it is filled with empty rows, which carry no loss, so that every rank of a
    distributed run makes the same number of passes.
    """

    rows: tuple[tuple[int, ...], ...]
    rows_per_step: int
    steps: int
    rows_per_epoch: int

    def __len__(self) -> int:
        return len(self.rows)

    def padding_fraction(self, lengths: np.ndarray, capacity: int) -> float:
        """Share of the rows' capacity that stays empty (no padding token is ever computed; this measures the packing)."""
        filled = [sum(int(lengths[i]) for i in row) for row in self.rows if row]
        return 1.0 - sum(filled) / sum(max(capacity, f) for f in filled)


def plan_run(
    lengths: np.ndarray,
    capacity: int,
    rows_per_step: int,
    epochs: float,
    max_steps: int | None,
    seed: int,
    padded: bool = False,
    stretched: Sequence[tuple[int, float]] = (),
) -> RunPlan:
    """Lay out a run over trees of the given lengths (tokens).

    Args:
        lengths: tokens of each tree; for padded batches, those of its padded rows.
        capacity: tokens of one packed row.
        rows_per_step: packed rows behind one optimizer step, over all ranks.
        epochs: passes over the data; ignored when `max_steps` is set.
        stretched: (step, epochs) wherever a run was made longer that had come to this step of a plan of these epochs. A plan
            that ended with a step that was not full keeps that step, so that no row is passed over.
    """
    first = pack_epoch(lengths, capacity, seed, 0, padded)
    wanted = max_steps * rows_per_step if max_steps else max(1, round(epochs * len(first)))
    rows, epoch = list(first), 0
    while len(rows) < wanted:
        epoch += 1
        rows += pack_epoch(lengths, capacity, seed, epoch, padded)
    rows = rows[:wanted]
    kept = 0  # empty rows of earlier ends
    for step, before in stretched:
        end = max(1, round(before * len(first))) + kept
        empty = -end % rows_per_step
        if (end + empty) // rows_per_step == step:
            rows[end:end] = [[]] * empty
            kept += empty
    rows += [[]] * (-len(rows) % rows_per_step)
    return RunPlan(tuple(map(tuple, rows)), rows_per_step, len(rows) // rows_per_step, len(first))
