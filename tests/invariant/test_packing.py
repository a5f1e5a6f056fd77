"""Packing and the run's plan: nothing is lost, nothing overflows, nothing depends on chance."""

import tracemalloc
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medicalgpt.disk import arrays
from medicalgpt.rendering import pack
from medicalgpt.rendering.pack import WINDOW_ROWS, Rows, best_fit, by_length, pack_epoch, plan_run

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=120)
CAPACITY = st.integers(16, 50)  # below the longest item now and then
SEED = st.integers(0, 2**31)


def flat(rows: object) -> list[int]:
    return [item for row in rows for item in row]  # type: ignore[attr-defined]


@given(LENGTHS, CAPACITY)
@settings(deadline=None)
def test_best_fit_places_every_item_once_within_capacity(lengths: list[int], capacity: int) -> None:
    bins = best_fit(lengths, capacity)
    assert sorted(flat(bins)) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in b) <= capacity or len(b) == 1 for b in bins)
    # No two bins could be one: the second would have fitted into the first.
    filled = sorted(sum(lengths[i] for i in b) for b in bins)
    assert len(bins) < 2 or filled[0] + filled[1] > capacity


def test_best_fit_takes_the_tightest_bin() -> None:
    # 9 and 7 open bins of room 1 and 3; 3 fits the second exactly, 1 the first, 2 opens a third.
    assert best_fit([9, 1, 7, 3, 2], 10) == [[0, 1], [2, 3], [4]]


@given(LENGTHS, CAPACITY)
@settings(deadline=None)
def test_padded_groups_stay_within_capacity(lengths: list[int], capacity: int) -> None:
    rows = by_length(lengths, capacity)
    assert sorted(flat(rows)) == list(range(len(lengths)))
    for row in rows:
        assert len(row) * max(lengths[i] for i in row) <= capacity or len(row) == 1


@given(LENGTHS, CAPACITY, SEED, st.integers(0, 3), st.booleans())
@settings(deadline=None)
def test_an_epoch_holds_every_item_once(lengths: list[int], capacity: int, seed: int, epoch: int, padded: bool) -> None:
    sizes = np.asarray(lengths)
    rows = list(pack_epoch(sizes, capacity, seed, epoch, padded))
    assert sorted(flat(rows)) == list(range(len(lengths)))
    assert all(rows)
    for row in rows:
        cost = len(row) * max(lengths[i] for i in row) if padded else sum(lengths[i] for i in row)
        assert cost <= capacity or len(row) == 1
    assert rows == list(pack_epoch(sizes, capacity, seed, epoch, padded))


def test_epochs_and_seeds_differ() -> None:
    sizes = np.full(50, 7)
    orders = {str(list(pack_epoch(sizes, 20, seed, epoch))) for seed in (1, 2) for epoch in (0, 1)}
    assert len(orders) == 4


def test_items_stay_near_their_place_in_the_shuffled_order() -> None:
    """Packing sorts by length only inside windows, so that short rows do not all come at the end."""
    sizes = np.random.default_rng(0).integers(1, 100, 30_000)
    rows = list(pack_epoch(sizes, 400, 0, 0))
    assert len(rows) > 50 * WINDOW_ROWS
    quarters = [
        np.mean([sizes[i] for row in part for i in row]) for part in np.array_split(np.asarray(rows, object), 4)
    ]
    assert max(quarters) - min(quarters) < 3  # the mean length is 50
    filled = sum(sizes) / (len(rows) * 400)
    assert filled > 0.99


PLANS = st.tuples(
    LENGTHS, CAPACITY, st.integers(1, 9), st.floats(0.1, 3.0), st.none() | st.integers(1, 12), SEED, st.booleans()
)


@given(PLANS)
@settings(deadline=None)
def test_the_plan_is_whole_steps_of_whole_epochs(
    settings_: tuple[list[int], int, int, float, int | None, int, bool],
) -> None:
    lengths, capacity, per_step, epochs, max_steps, seed, padded = settings_
    sizes = np.asarray(lengths)
    plan = plan_run(sizes, capacity, per_step, epochs, max_steps, seed, padded)
    assert len(plan) == plan.steps * plan.rows_per_step
    assert plan.rows_per_step == per_step
    if max_steps:
        assert plan.steps == max_steps
        assert all(plan.rows)
    else:
        full = [row for row in plan.rows if row]
        assert len(full) == max(1, round(epochs * plan.rows_per_epoch))
        assert len(plan) - len(full) < per_step
        assert plan.rows[len(full) :] == ((),) * (len(plan) - len(full))  # empty rows only at the very end
    first = Counter(flat(plan.rows[: plan.rows_per_epoch]))
    if len([row for row in plan.rows if row]) >= plan.rows_per_epoch:
        assert first == Counter(range(len(lengths)))
    assert plan == plan_run(sizes, capacity, per_step, epochs, max_steps, seed, padded)
    assert 0 <= plan.padding_fraction(sizes, capacity) < 1


@given(LENGTHS, CAPACITY, st.integers(1, 4), SEED)
@settings(deadline=None)
def test_whole_epochs_see_every_item_as_often(lengths: list[int], capacity: int, epochs: int, seed: int) -> None:
    sizes = np.asarray(lengths)
    plan = plan_run(sizes, capacity, 1, 1.0, None, seed)
    again = [row for epoch in range(epochs) for row in pack_epoch(sizes, capacity, seed, epoch)]
    longer = plan_run(sizes, capacity, 1, 1.0, len(again), seed)
    assert [list(row) for row in longer.rows] == again
    assert longer.rows[: len(plan)] == plan.rows
    assert set(Counter(flat(longer.rows)).values()) == {epochs}


@given(PLANS)
@settings(deadline=None)
def test_a_plan_in_files_is_the_plan_in_memory(
    settings_: tuple[list[int], int, int, float, int | None, int, bool],
) -> None:
    lengths, *others = settings_
    sizes = np.asarray(lengths)
    whole = plan_run(sizes, *others)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "SMALL", 64)
        patch.setattr(pack, "_BLOCK", 7)
        patch.setattr(pack, "_BLOCK_ROWS", 3)
        pieces = plan_run(sizes, *others)  # type: ignore[arg-type]
        assert pieces.padding_fraction(sizes, others[0]) == whole.padding_fraction(sizes, others[0])
    assert pieces == whole


def test_the_memory_of_a_plan_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "SMALL", 1 << 16)
    monkeypatch.setattr(pack, "_BLOCK", 1 << 10)
    peaks = []
    for count in (10_000, 60_000):
        sizes = np.random.default_rng(0).integers(1, 100, count)
        tracemalloc.start()
        plan = plan_run(sizes, 400, 8, 1.0, None, 0)
        plan.padding_fraction(sizes, 400)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert sum(len(row) for row in plan.rows) == count
    assert (peaks[1] - peaks[0]) / 50_000 < 2, "bytes a row"


def test_the_order_of_an_epoch_is_a_permutation_of_the_seed() -> None:
    """Plans of earlier versions stay what they were, so that their runs can be resumed: worked out by the library alone."""
    rows = list(pack_epoch(np.full(9, 60), 64, seed=5, epoch=2))
    window = np.random.default_rng([5, 2]).permutation(9)
    assert [row[0] for row in rows] == window[np.random.default_rng([5, 2, 1]).permutation(9)].tolist()


def test_rows_are_a_sequence() -> None:
    rows = Rows(np.arange(6), np.asarray([1, 3, 3, 6]), empty=2)
    assert list(rows) == [(0,), (1, 2), (), (3, 4, 5), (), ()]
    assert rows[-3] == (3, 4, 5)
    assert rows[1::2] == ((1, 2), (3, 4, 5), ())
    assert rows[1:][0] == (1, 2)
    assert rows != rows[1:]
    with pytest.raises(IndexError):
        rows[6]


def test_padding_fraction() -> None:
    # Rows of 10 hold 9 and 4: of 20, 13 are filled.
    plan = plan_run(np.asarray([9, 4]), 10, 1, 1.0, None, 0)
    assert plan.padding_fraction(np.asarray([9, 4]), 10) == 1 - 13 / 20


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    rows_per_step=st.integers(1, 5),
    epochs=st.lists(st.integers(1, 4), min_size=2, max_size=3, unique=True).map(sorted),
)
def test_a_longer_plan_begins_with_the_shorter_one_and_passes_over_nothing(
    lengths: list[int], rows_per_step: int, epochs: list[int]
) -> None:
    """Each time the shorter run has come to its end, whose last step need not be full."""
    sizes, stretched = np.asarray(lengths), list[tuple[int, float]]()
    before: Sequence[tuple[int, ...]] = ()
    for count in epochs:
        plan = plan_run(sizes, 64, rows_per_step, count, None, 3, stretched=stretched)
        assert plan.rows[: len(before)] == before
        assert set(Counter(i for row in plan.rows for i in row).values()) == {count}
        assert len(plan.rows) == plan.steps * rows_per_step
        before = plan.rows
        stretched.append((plan.steps, float(count)))


def test_a_run_that_was_stopped_before_its_end_needs_no_empty_rows() -> None:
    sizes = np.full(10, 64)
    assert plan_run(sizes, 64, 4, 2, None, 3, stretched=[(2, 1.0)]) == plan_run(sizes, 64, 4, 2, None, 3)
