"""Keys of rows with their sizes, on disk as they come: for what is to be known of all rows before any can be used."""

from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final

import numpy as np

from medicalgpt.data.asked import Asked, KeySizes, on_disk, shared
from medicalgpt.disk.arrays import LineWriter, blocks

BLOCK: Final = 1 << 16
"""Rows that are read at a time."""
_ROW: Final = np.dtype([("key", "u8"), ("size", "i8")])
_WRITTEN: Final = Struct("=Qq")  # the same


class KeyTable:
    """A file of rows' keys and sizes, `name` in `folder`; what is asked of it is worked out beside it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self._path, self._count = folder, folder / f"{name}.bin", 0
        self._lines = LineWriter(self._path, _WRITTEN)

    def add(self, key: str, size: int) -> None:
        """Note a row. Raises RunError where it cannot be written."""
        self._count += 1
        self._lines.add(int(key, 16), size)

    def close(self) -> None:
        """All rows were added; harmless a second time. Raises RunError where they cannot be written."""
        self._lines.close()

    def abandon(self) -> None:
        """Let go of the file, whatever became of it."""
        self._lines.abandon()

    def asked(self, seed: int) -> Asked:
        """The distinct keys. Raises RunError where what is needed for that cannot be written."""
        return on_disk(self._blocks(), self._count, seed, self.folder)

    def shared(self, others: "KeyTable") -> int:
        """How many distinct keys both have. Raises RunError likewise."""
        ours, theirs = ((keys for keys, _ in table._blocks()) for table in (self, others))
        return shared(ours, theirs, self._count + others._count, self.folder)

    def _blocks(self) -> Iterator[KeySizes]:
        return ((block["key"], block["size"]) for block in blocks(self._path, _ROW, BLOCK))
