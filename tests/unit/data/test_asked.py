"""What rows ask is chosen from disk as from memory, and takes no more memory for more rows."""

import errno
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medicalgpt.data import asked
from medicalgpt.data.asked import Keys, KeySizes, on_disk, shared
from medicalgpt.data.key_table import KeyTable
from medicalgpt.data.split import split_asked, split_of
from medicalgpt.errors import RunError

KEY = st.integers(0, 2**64 - 1) | st.integers(0, 12).map(lambda n: n << 60)
SIZE = st.integers(0, 900) | st.integers(7_000, 300_000)


@pytest.mark.parametrize("part", [1, 3, 1 << 16])
@given(
    rows=st.lists(st.tuples(KEY, SIZE), max_size=60),
    fraction=st.sampled_from([0, 0.01, 0.05, 0.3, 0.8]),
    seed=st.integers(0, 9),
    documents=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_the_split_of_rows_on_disk_is_that_of_rows_in_memory(
    part: int, rows: list[tuple[int, int]], fraction: float, seed: int, documents: bool
) -> None:
    keys, sizes = np.asarray([k for k, _ in rows], np.uint64), np.asarray([n for _, n in rows], np.int64)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(asked, "PART", part)
        blocks = ((keys[i : i + 7], sizes[i : i + 7]) for i in range(0, len(rows), 7))
        found = split_asked(on_disk(blocks, len(rows), seed, Path(folder)), fraction, seed, documents)
    assert found == split_of(keys, sizes, fraction, seed, documents)


def test_keys_that_two_lots_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "PART", 2)
    ours = [np.asarray([5, 5, 7], np.uint64), np.asarray([2**63, 9], np.uint64)]
    theirs = [np.asarray([2**63 + 1, 9, 9], np.uint64), np.asarray([5], np.uint64)]
    assert shared(ours, theirs, 9, tmp_path) == 2
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_a_table_of_keys_counts_and_shares(tmp_path: Path) -> None:
    tables = [KeyTable(tmp_path, name) for name in ("one", "two")]
    for key, size in [("00000000000000ff", 3), ("ff00000000000000", 4), ("00000000000000ff", 5)]:
        tables[0].add(key, size)
    tables[1].add("ff00000000000000", 9)
    for table in tables:
        table.close()
    found = tables[0].asked(1)
    assert (found.count, found.total, found.longest) == (2, 12, 8)
    assert sorted(n for _, sizes in found.blocks() for n in sizes.tolist()) == [4, 8]
    assert tables[0].shared(tables[1]) == 1


def test_a_set_of_keys() -> None:
    keys = Keys([np.asarray([255, 2**64 - 1], np.uint64), np.asarray([0], np.uint64)])
    names = frozenset({"00000000000000ff", "f" * 16, "0" * 16})
    assert keys == names
    assert names == keys
    assert Keys.of(names) == keys
    assert "f" * 16 in keys
    assert "00000000000000fe" not in keys
    assert keys.mask(np.asarray([1, 255, 0], np.uint64)).tolist() == [False, True, True]
    assert not Keys().mask(np.asarray([1], np.uint64)).any()


def test_a_full_disk_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(RunError, match=r"the table of rows could not be written to .*the disk is full"):
        on_disk(iter(()), 3, 1, tmp_path)


def _rows(count: int) -> Iterator[KeySizes]:
    for start in range(0, count, 1_000):
        number = np.arange(start, start + 1_000, dtype=np.uint64)
        yield number * np.uint64(0x9E3779B97F4A7C15), np.full(1_000, 300)


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "PART", 2_000)
    peaks = []
    for count in (20_000, 100_000):
        (tmp_path / str(count)).mkdir()
        tracemalloc.start()
        split = split_asked(on_disk(_rows(count), count, 1, tmp_path / str(count)), 0.01, 1, documents=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(split.whole) == count // 100
    assert (peaks[1] - peaks[0]) / 80_000 < 5, "bytes a row: more than open files and the keys that are held out"
