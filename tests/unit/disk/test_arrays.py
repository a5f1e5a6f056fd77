"""Large arrays lie in files that nobody sees, small ones in memory, and both hold the same."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medicalgpt.disk import arrays
from medicalgpt.disk.arrays import Growing, blocks, spare
from medicalgpt.errors import RunError


@pytest.fixture(params=[1, 1 << 30], ids=["in a file", "in memory"])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(arrays, "SMALL", request.param)
    return int(request.param)


def mapped(array: np.ndarray) -> bool:
    """Whether it is a file's."""
    base: Any = array
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    return base is not None


def test_an_array_of_zeros_that_can_be_written(tmp_path: Path, small: int) -> None:
    found = spare(1_000, np.int64, tmp_path)
    assert mapped(found) == (small == 1)
    assert not found.any()
    found[:] = np.arange(1_000)
    assert found.sum() == 499_500
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_come_bit_by_bit(tmp_path: Path, small: int) -> None:
    growing = Growing(tmp_path)
    for number in range(100):
        growing.extend([number, -number])
        assert len(growing) == 2 * number + 2
    found = growing.done()
    assert mapped(found) == (small == 1)
    assert found.tolist() == [n for number in range(100) for n in (number, -number)]
    assert list(tmp_path.iterdir()) == []
    assert Growing().done().tolist() == []


def test_a_folder_that_may_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "SMALL", 1)
    monkeypatch.setattr(os, "access", lambda *args: False)
    assert mapped(spare(10, np.int64, tmp_path / "is not there"))


def test_no_room_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is taken before it is used: a mapped file that cannot grow would end the process."""

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(arrays, "SMALL", 1)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RunError, match=r"an array of numbers could not be written.*the disk is full"):
        spare(1_000, np.int64, tmp_path)


def test_lines_of_a_file_a_block_at_a_time(tmp_path: Path) -> None:
    kind = np.dtype([("a", "u8"), ("b", "i4")])
    lines = np.asarray([(n, -n) for n in range(10)], kind)
    (tmp_path / "lines").write_bytes(lines.tobytes())
    found = list(blocks(tmp_path / "lines", kind, 4))
    assert [len(block) for block in found] == [4, 4, 2]
    assert np.concatenate(found).tolist() == lines.tolist()
