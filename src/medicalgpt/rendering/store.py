"""Token trees on disk: written once as a stream, read back memory-mapped, so data may be larger than memory.

A store is a folder of flat arrays. It is written under a temporary name and renamed when complete, so no half-written
store is ever read.
"""

import copy
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Final, overload

import numpy as np

from medicalgpt.data.records import Source
from medicalgpt.disk.arrays import spare
from medicalgpt.disk.failures import LARGER_CACHE, writing
from medicalgpt.errors import RunError
from medicalgpt.rendering.packed import NO_VERDICT, SEGMENT, SOURCE, Packed, lines, pack
from medicalgpt.rendering.tree import Segment, TokenTree

FORMAT = 3
_ID, _FIELD = np.dtype(np.int32).itemsize, np.dtype(np.int64).itemsize
_BLOCK: Final = 1 << 16  # trees or segments that are worked on together
_WAITING: Final = 1 << 20  # bytes of ids that are kept before they are written

Tokens = tuple[BinaryIO, BinaryIO]
"""The ids and the weights of a store, opened."""


class StoreWriter:
    """Appends trees to a new store; `close` publishes it; until then nothing of it can be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, int] = {}
        self._trees = self._tokens = 0
        self._waiting: list[tuple[Packed, int]] = []  # with the number of their file
        self._size = 0  # of their ids
        self.temp = folder.with_name(f".{folder.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
        with self._writing():
            self.temp.mkdir(parents=True)
            self._ids = (self.temp / "ids.bin").open("wb")
            self._weights = (self.temp / "weights.bin").open("wb")
            self._segments = (self.temp / "segments.bin").open("wb")
            self._sources = (self.temp / "sources.bin").open("wb")

    def add(self, tree: TokenTree) -> None:
        """Check a tree and append it. Raises RunError where it cannot be written."""
        self.append(pack([tree]), tree.source.file)

    def append(self, packed: Packed, file: str) -> None:
        """Append trees of a file. Raises RunError where they, or those before them, cannot be written."""
        self._waiting.append((packed, self._files.setdefault(file, len(self._files))))
        self._size += len(packed.ids) + 64  # of a tree of no token there are lines, too
        if self._size > _WAITING:
            self._write()

    def _write(self) -> None:
        """Write those that wait."""
        waiting, self._waiting, self._size = self._waiting, [], 0
        trees = np.asarray([packed.size for packed, _ in waiting], np.int64)
        tokens = np.asarray([len(packed.ids) // _ID for packed, _ in waiting], np.int64)
        segments = np.array(lines(b"".join(packed.segments for packed, _ in waiting), SEGMENT))
        counts = [len(packed.segments) // (SEGMENT * _FIELD) for packed, _ in waiting]
        segments[:, 0] += np.repeat(self._trees + np.cumsum(trees) - trees, counts)
        segments[:, 2:] += np.repeat(self._tokens + np.cumsum(tokens) - tokens, counts)[:, None]
        sources = np.array(lines(b"".join(packed.sources for packed, _ in waiting), SOURCE))
        sources[:, 0] = np.repeat([number for _, number in waiting], trees)
        with self._writing():
            self._ids.write(b"".join(packed.ids for packed, _ in waiting))
            self._weights.write(b"".join(packed.weights for packed, _ in waiting))
            self._segments.write(segments.tobytes())
            self._sources.write(sources.tobytes())
        self._trees += int(trees.sum())
        self._tokens += int(tokens.sum())

    def close(self, meta: dict[str, Any]) -> None:
        """Finish the store and give it its name. Raises RunError where it cannot be written."""
        if self._waiting:
            self._write()
        text = json.dumps(
            {"format": FORMAT, "files": list(self._files), "tokens": self._tokens, **meta}, ensure_ascii=False
        )
        with self._writing():
            for file in (self._ids, self._weights, self._segments, self._sources):
                file.close()
            for name, fields in (("segments", SEGMENT), ("sources", SOURCE)):
                _with_header(self.temp / f"{name}.bin", self.temp / f"{name}.npy", fields)
            (self.temp / "store.json").write_text(text, encoding="utf-8")
            if self.folder.exists():
                shutil.rmtree(self.folder)
            os.replace(self.temp, self.folder)

    def abandon(self) -> None:
        """Let go of the files of a store that will not be finished; harmless after `close`."""
        for file in (self._ids, self._weights, self._segments, self._sources):
            with suppress(OSError):  # what a full disk did not take is still to be written
                file.close()

    def _writing(self) -> AbstractContextManager[None]:
        size = 2 * _ID * self._tokens  # an id and a weight
        return writing(f"the token store (after {size / 1e6:,.0f} MB)", self.folder.parent, remedy=LARGER_CACHE)


def _with_header(raw: Path, target: Path, fields: int) -> None:
    """Make an .npy file of rows of int64, without having them in memory."""
    rows = raw.stat().st_size // (fields * _FIELD)
    with raw.open("rb") as source, target.open("wb") as out:
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(np.int64)),
            "fortran_order": False,
            "shape": (rows, fields),
        }
        np.lib.format.write_array_header_1_0(out, header)
        shutil.copyfileobj(source, out, 1 << 20)
    raw.unlink()


def _stretch(file: BinaryIO, begin: int, count: int) -> bytes:
    file.seek(_ID * begin)
    return file.read(_ID * count)


def _mapped(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="r"))


class TreeStore(Sequence[TokenTree]):
    """A finished store as a sequence of trees."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        if self.meta["format"] != FORMAT:
            raise RunError(f"{folder}: token store of format {self.meta['format']}, expected {FORMAT}; delete it")
        self.segments = _mapped(folder / "segments.npy")
        self.sources = _mapped(folder / "sources.npy")
        empty = self.meta["tokens"] == 0
        self.ids = np.empty(0, np.int32) if empty else np.asarray(np.memmap(folder / "ids.bin", np.int32, "r"))
        self.weights = (
            np.empty(0, np.float32) if empty else np.asarray(np.memmap(folder / "weights.bin", np.float32, "r"))
        )

    @cached_property
    def _headers(self) -> dict[str, int]:
        """Bytes before the first row of each .npy file."""
        arrays = {"segments": self.segments, "sources": self.sources}
        return {name: (self.folder / f"{name}.npy").stat().st_size - rows.nbytes for name, rows in arrays.items()}

    @cached_property
    def first(self) -> np.ndarray:
        """Each tree's first segment, and the number of all."""
        found = spare(len(self.sources) + 1, np.int64, self.folder)
        trees = self.segments[:, 0]
        for start in range(0, len(found), _BLOCK):
            found[start : start + _BLOCK] = np.searchsorted(trees, np.arange(start, min(start + _BLOCK, len(found))))
        return found

    def __len__(self) -> int:
        return len(self.sources)

    @overload
    def __getitem__(self, index: int) -> TokenTree: ...
    @overload
    def __getitem__(self, index: slice) -> list[TokenTree]: ...
    def __getitem__(self, index: int | slice) -> TokenTree | list[TokenTree]:
        """A tree, its arrays mapped from disk; raises IndexError."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        parts = tuple(
            Segment(np.asarray(self.ids[a:b]), np.asarray(self.weights[a:b]), int(parent))
            for _, parent, a, b in self.segments[self.first[index] : self.first[index + 1]]
        )
        file, row, verdict = self.sources[index]
        desirable = None if verdict == NO_VERDICT else bool(verdict)
        return TokenTree(parts, Source(self.meta["files"][file], int(row)), desirable)

    def __iter__(self) -> Iterator[TokenTree]:
        return (self[i] for i in range(len(self)))

    def lines(self, trees: slice, segments: slice) -> tuple[np.ndarray, np.ndarray]:
        """Lines of `sources` and `segments`, read, not mapped: whoever goes through a whole store would have all of it in
        memory."""
        sources, found = (
            np.fromfile(
                self.folder / f"{name}.npy",
                np.int64,
                (stretch.stop - stretch.start) * fields,
                offset=self._headers[name] + stretch.start * fields * _FIELD,
            ).reshape(-1, fields)
            for name, fields, stretch in (("sources", SOURCE, trees), ("segments", SEGMENT, segments))
        )
        return sources, found

    @contextmanager
    def tokens(self) -> Iterator[Tokens]:
        """Ids and weights as files, for `divided`: to open them for every stretch would take longer than to read it."""
        with (self.folder / "ids.bin").open("rb") as ids, (self.folder / "weights.bin").open("rb") as weights:
            yield ids, weights

    def divided(
        self, sources: np.ndarray, segments: np.ndarray, tokens: Tokens, chosen: np.ndarray
    ) -> tuple[Packed | None, Packed | None]:
        """The trees of some consecutive `lines`, at least one and all of the same file, to be appended elsewhere: those that are
        not `chosen` (bool of shape [trees]), and those that are; None for none."""
        tree, _, begin, _ = (int(number) for number in segments[0])
        of_chosen = chosen[segments[:, 0] - tree]
        changes = np.flatnonzero(of_chosen[1:] != of_chosen[:-1]) + 1
        bounds = [*(segments[[0, *changes], 2] - begin).tolist(), int(segments[-1, 3]) - begin]
        stretches = [memoryview(_stretch(file, begin, bounds[-1])) for file in tokens]
        places = [slice(_ID * first, _ID * end) for first, end in pairwise(bounds)]
        found: list[Packed | None] = []
        for side in (False, True):
            own, of_own = chosen == side, of_chosen == side
            first = int(of_chosen[0] != side)  # the sides take turns
            ids, weights = (b"".join([view[place] for place in places[first::2]]) for view in stretches)
            lines = segments[of_own]
            sizes = lines[:, 3] - lines[:, 2]
            ends = np.cumsum(sizes)
            numbers = (np.cumsum(own) - 1)[lines[:, 0] - tree]
            moved = np.stack([numbers, lines[:, 1], ends - sizes, ends], axis=1)
            packed = Packed(ids, weights, moved.tobytes(), (sources[own] * (0, 1, 1)).tobytes())
            found.append(packed if packed.size else None)
        return found[0], found[1]

    def take(self, index: np.ndarray) -> "TreeStore":
        """Some of the trees, also several times, as a store; tokens stay where they are on disk."""
        ends = spare(len(index) + 1, np.int64, self.folder)
        np.cumsum(self.first[index + 1] - self.first[index], out=ends[1:])
        segments = spare(int(ends[-1]) * SEGMENT, np.int64, self.folder).reshape(-1, SEGMENT)
        sources = spare(len(index) * SOURCE, np.int64, self.folder).reshape(-1, SOURCE)
        for start in range(0, len(index), _BLOCK):
            part, stretch = index[start : start + _BLOCK], ends[start : start + _BLOCK + 1]
            counts = np.diff(stretch)
            numbers = np.repeat(self.first[part] - stretch[:-1], counts) + np.arange(stretch[0], stretch[-1])
            segments[stretch[0] : stretch[-1]] = self.segments[numbers]
            segments[stretch[0] : stretch[-1], 0] = np.repeat(np.arange(start, start + len(part)), counts)
            sources[start : start + _BLOCK] = self.sources[part]
        found = copy.copy(self)
        found.segments, found.sources, found.first = segments, sources, ends
        return found

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each tree."""
        found = spare(len(self), np.int64, self.folder)
        for start in range(0, len(self.segments), _BLOCK):
            tree, _, begin, end = self.segments[start : start + _BLOCK].T
            sizes = np.bincount(tree - tree[0], end - begin).astype(np.int64)
            found[tree[0] : tree[0] + len(sizes)] += sizes  # a tree may stand in two blocks
        return found

    @property
    def verdicts(self) -> tuple[int, int]:
        """How many trees hold a desirable and how many an undesirable answer."""
        return int((self.sources[:, 2] == 1).sum()), int((self.sources[:, 2] == 0).sum())

    @property
    def trained(self) -> int:
        """Tokens with a loss weight."""
        return sum(int((self.weights[a:b] > 0).sum()) for a, b in self.segments[:, 2:].tolist())
