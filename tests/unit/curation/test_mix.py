"""How much of each source a corpus has, worked out by hand."""

import numpy as np
import pytest

from medicalgpt.config.curation import MixConfig, SourceConfig
from medicalgpt.curation.mix import Taken, mixed
from medicalgpt.errors import DataError

A, B = 100, 300  # rows of 10 units in two sources


def take(shares: tuple[float | None, float | None], **config: float) -> tuple[np.ndarray, dict[str, Taken]]:
    sources = {name: SourceConfig(paths=["x"], share=share) for name, share in zip("ab", shares)}
    sizes, source_of = np.full(A + B, 10), np.asarray([0] * A + [1] * B)
    return mixed(sizes, source_of, sources, MixConfig(**config))  # type: ignore[arg-type]


def test_without_shares_every_row_comes_once() -> None:
    rows, taken = take((None, None))
    assert rows.tolist() == list(range(A + B))
    assert [(one.share, one.epochs) for one in taken.values()] == [(0.25, 1.0), (0.75, 1.0)]


def test_beside_a_source_without_share_the_other_is_repeated() -> None:
    # b is taken whole: 3,000 units are half, so a gives 3,000 of its 1,000: three epochs.
    rows, taken = take((0.5, None))
    assert taken["a"].epochs == pytest.approx(3.0)
    assert taken["b"].epochs == 1.0
    counts = np.bincount(rows, minlength=A + B)
    assert set(counts[:A]) == {3}
    assert set(counts[A:]) == {1}


def test_where_all_have_shares_there_is_as_much_text_as_before() -> None:
    rows, taken = take((0.5, 0.5))
    assert len(rows) == A + B
    assert [one.share for one in taken.values()] == [0.5, 0.5]
    assert [one.epochs for one in taken.values()] == pytest.approx([2.0, 2 / 3])


def test_no_source_is_repeated_more_often_than_allowed() -> None:
    # 90 % of a, at most 2 epochs: 2,000 units are 90 %, so 2,222 in all, of which b has 222.
    _, taken = take((0.9, None), max_epochs=2)
    assert taken["a"].epochs == pytest.approx(2.0)
    assert taken["a"].capped
    assert taken["a"].share == pytest.approx(0.9, abs=0.005)
    assert not taken["b"].capped
    assert taken["b"].distinct == 23


def test_temperature_lifts_small_sources() -> None:
    # Square roots: 31.6 and 54.8 of 86.4.
    _, taken = take((None, None), temperature=2)
    assert taken["a"].share == pytest.approx(0.366, abs=0.005)
    assert taken["a"].epochs == pytest.approx(1.464, abs=0.01)


def test_the_rows_taken_depend_on_the_seed_alone() -> None:
    first, second, other = (take((0.1, None), seed=seed)[0].tolist() for seed in (1, 1, 2))
    assert first == second != other


def test_a_share_of_nothing_is_refused() -> None:
    sources = {"a": SourceConfig(paths=["x"], share=0.5), "b": SourceConfig(paths=["x"])}
    with pytest.raises(DataError, match=r"sources\.a: no row of it is left"):
        mixed(np.full(5, 1), np.ones(5, int), sources, MixConfig())
