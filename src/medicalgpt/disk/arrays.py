"""Arrays that need not be in memory: read a block at a time, or in a file without a name."""

import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Final, cast

import numpy as np
from numpy.typing import DTypeLike

from medicalgpt.disk.failures import LARGER_CACHE, writing

SMALL: Final = 1 << 22
"""Bytes: smaller arrays are in memory."""
_BUFFER: Final = 1 << 20  # bytes of lines


def blocks(path: Path, kind: np.dtype, size: int) -> Iterator[np.ndarray]:
    """The lines of a file, `size` at a time. They are read, not mapped: whoever reads all of it would have it in memory."""
    with path.open("rb") as file:
        while len(block := np.fromfile(file, kind, size)):
            yield block


def spare(count: int, kind: DTypeLike, folder: Path | None = None) -> np.ndarray:
    """An array of zeros, shape [count]. A large one is a mapped file that nobody else sees, which the system may write back
    to disk when it needs the memory; it goes with the array.

    Args:
        folder: where it lies; None, or where nothing may be written: the system's folder for such files.

    Raises:
        RunError: there is no room for it.
    """
    size = count * np.dtype(kind).itemsize
    if size < SMALL:
        return np.zeros(count, kind)
    folder = _place(folder)
    with writing("an array of numbers", folder, size, remedy=LARGER_CACHE), tempfile.TemporaryFile(dir=folder) as file:
        _reserve(file.fileno(), size)
        return np.asarray(np.memmap(file, kind, "r+", shape=(count,)))


class LineWriter:
    """A file of lines of one `layout`, which `blocks` reads; many are written at a time, as a write that says what went wrong costs
    more than a line.
    """

    def __init__(self, path: Path, layout: Struct) -> None:
        self._folder, self._layout, self._waiting = path.parent, layout, bytearray()
        with self._writing():
            self._file: BinaryIO = path.open("wb")

    def add(self, *values: int) -> None:
        """Put a line to the end. Raises RunError where it, or those before it, cannot be written."""
        self._waiting += self._layout.pack(*values)
        if len(self._waiting) > _BUFFER:
            self._write()

    def close(self) -> None:
        """All lines were added; harmless a second time. Raises RunError where they cannot be written."""
        if self._waiting:
            self._write()
        with self._writing():
            self._file.close()

    def abandon(self) -> None:
        """Let go of the file, whatever became of it."""
        with suppress(OSError):  # what a full disk did not take is still to be written
            self._file.close()

    def _write(self) -> None:
        with self._writing():
            self._file.write(self._waiting)
        self._waiting.clear()

    def _writing(self) -> AbstractContextManager[None]:
        return writing("the table of rows", self._folder, remedy=LARGER_CACHE)


class Growing:
    """Whole numbers that come bit by bit, then an array of them; many lie in a file as that of `spare`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder, self._waiting, self._written = folder, array("q"), 0
        self._file: BinaryIO | None = None

    def __len__(self) -> int:
        return self._written + len(self._waiting)

    def extend(self, numbers: Iterable[int]) -> None:
        """Put numbers to the end. Raises RunError where there is no room for them."""
        self._waiting.extend(numbers)
        if len(self._waiting) * self._waiting.itemsize >= SMALL:
            self._write()

    def _write(self) -> None:
        folder = _place(self._folder)
        with writing("an array of numbers", folder, remedy=LARGER_CACHE):
            if self._file is None:
                self._file = cast(BinaryIO, tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 - until `done`
            self._file.write(self._waiting.tobytes())
            self._file.flush()
        self._written, self._waiting = len(self), array("q")

    def done(self) -> np.ndarray:
        """All of them, shape [numbers], int64; nothing may be added any more. Raises RunError as `extend`."""
        if self._file is None:
            return np.asarray(self._waiting, np.int64)
        self._write()
        with self._file:
            return np.asarray(np.memmap(self._file, np.int64, "r", shape=(self._written,)))


def _place(folder: Path | None) -> Path:
    return Path(tempfile.gettempdir()) if folder is None or not os.access(folder, os.W_OK) else folder


def _reserve(file: int, size: int) -> None:
    """Take the room now: a mapped file without it would end the process when the disk is full."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)
