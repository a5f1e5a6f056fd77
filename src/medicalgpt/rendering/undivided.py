"""Trees of all rows in the order they came, stored before it is known which are held out, and divided once all were seen.

So a row is read once: what is held out depends on what all rows ask, and rendering does not depend on what is held out.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from struct import Struct
from typing import Final

import numpy as np

from medicalgpt.data.asked import Keys, on_disk
from medicalgpt.data.key_table import BLOCK
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.records import Source
from medicalgpt.data.split import Split, split_asked
from medicalgpt.disk.arrays import LineWriter, blocks
from medicalgpt.rendering.row_work import RowTrees
from medicalgpt.rendering.store import StoreWriter, TreeStore

_ROW: Final = np.dtype(
    [
        *(("key", "u8"), ("characters", "i8"), ("number", "i8")),
        *(("trees", "i4"), ("segments", "i4"), ("file", "i4"), ("counted", "?")),
    ]
)
_WRITTEN: Final = Struct("=QqqiiiB")  # the same
_MOST: Final = 1024  # rows whose trees are copied at a time: of more, what is written no longer lies in the caches


class Undivided:
    """A store of all trees, and a table of the rows they came from, in `folder`; one for rows that are held out whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer = StoreWriter(folder / "all")
        self._files: dict[str, int] = {}
        self._count = 0
        self._lines = LineWriter(folder / "rows.bin", _WRITTEN)

    def add(self, found: RowTrees) -> None:
        """Keep a row whose key was asked for. Raises RunError where it cannot be written."""
        assert found.key is not None
        packed, file = found.packed[0], found.source.file
        if packed is not None:
            self._writer.append(packed, file)
        number = self._files.setdefault(file, len(self._files))
        counts = (0, 0) if packed is None else (packed.size, packed.parts)
        counted = found.row.outcome != "dropped"
        self._lines.add(int(found.key.key, 16), found.key.size, found.source.row, *counts, number, counted)
        self._count += 1

    def close(self) -> None:
        """All rows were added. Raises RunError where they cannot be written."""
        self._writer.close({})
        self._lines.close()

    def abandon(self) -> None:
        """Let go of the files."""
        self._writer.abandon()
        self._lines.abandon()

    def split(self, fraction: float, seed: int) -> Split:
        """What of the rows is held out. Raises RunError where there is no room to work it out."""
        rows = ((rows["key"], rows["characters"]) for rows in self._rows(BLOCK))
        return split_asked(on_disk(rows, self._count, seed, self.folder), fraction, seed, documents=False)

    def divide(self, split: Split, train: StoreWriter, held_out: StoreWriter | None, ledger: Ledger) -> None:
        """Put the trees into their stores, and count their text."""
        store, files, tree, segment = TreeStore(self.folder / "all"), list(self._files), 0, 0
        with store.tokens() as tokens:
            for rows, held in self._sided(split):
                trees, segments = (np.concatenate([[0], np.cumsum(rows[name])]) for name in ("trees", "segments"))
                stretch = slice(tree, tree + int(trees[-1])), slice(segment, segment + int(segments[-1]))
                sources, found = store.lines(*stretch)
                tree, segment = stretch[0].stop, stretch[1].stop
                changes = np.flatnonzero(rows["file"][1:] != rows["file"][:-1]) + 1
                for first, end in pairwise([0, *changes.tolist(), len(rows)]):
                    file, sides = files[int(rows["file"][first])], held[first:end]
                    own = sources[trees[first] : trees[end]]
                    if len(own):
                        chosen = np.repeat(sides, rows["trees"][first:end])
                        both = store.divided(own, found[segments[first] : segments[end]], tokens, chosen)
                        for packed, writer in zip(both, (train, held_out)):
                            if packed is not None:
                                assert writer is not None
                                writer.append(packed, file)
                    characters = rows["characters"][first:end] * rows["counted"][first:end]
                    for side in (False, True):
                        if number := int(characters[sides == side].sum()):
                            ledger.count_text(file, number, side)

    def held_out(self, split: Split) -> Iterator[Source]:
        """Where the held-out rows stand, in reading order."""
        files = list(self._files)
        for rows, held in self._sided(split):
            for row in rows[held]:
                yield Source(files[row["file"]], int(row["number"]))

    def _sided(self, split: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Some rows at a time, and which of them are held out."""
        chosen = Keys.of(split.whole)
        return ((rows, chosen.mask(rows["key"])) for rows in self._rows(_MOST))

    def _rows(self, size: int) -> Iterator[np.ndarray]:
        return blocks(self.folder / "rows.bin", _ROW, size)
