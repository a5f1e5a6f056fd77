"""Token trees on disk: written once as a stream, read back memory-mapped, so data may be larger than memory.

A store is a folder of flat arrays. It is written under a temporary name and renamed when complete, so no half-written
store is ever read.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from medicalgpt.data.records import Source
from medicalgpt.errors import RunError
from medicalgpt.rendering.tree import Segment, TokenTree

FORMAT = 3
_FIELDS = 4  # of a segment's line: tree, parent, first token, end
_NO_VERDICT = -1


class StoreWriter:
    """Appends trees to a new store; `close` publishes it; until then nothing of it can be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temp = folder.with_name(f".{folder.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
        self.temp.mkdir(parents=True)
        self._ids = (self.temp / "ids.bin").open("wb")
        self._weights = (self.temp / "weights.bin").open("wb")
        self._segments: list[tuple[int, int, int, int]] = []
        self._sources: list[tuple[int, int, int]] = []
        self._files: dict[str, int] = {}
        self._tokens = 0

    def add(self, tree: TokenTree) -> None:
        """Check a tree and append it."""
        tree.check()
        for s in tree.segments:
            self._ids.write(s.ids.astype(np.int32).tobytes())
            self._weights.write(s.weights.astype(np.float32).tobytes())
            self._segments.append((len(self._sources), s.parent, self._tokens, self._tokens + len(s)))
            self._tokens += len(s)
        verdict = _NO_VERDICT if tree.desirable is None else int(tree.desirable)
        file = self._files.setdefault(tree.source.file, len(self._files))
        self._sources.append((file, tree.source.row, verdict))

    def close(self, meta: dict[str, Any]) -> None:
        """Finish the store and give it its name."""
        self._ids.close()
        self._weights.close()
        np.save(self.temp / "segments.npy", np.asarray(self._segments, np.int64).reshape(-1, _FIELDS))
        np.save(self.temp / "sources.npy", np.asarray(self._sources, np.int64).reshape(-1, 3))
        text = json.dumps(
            {"format": FORMAT, "files": list(self._files), "tokens": self._tokens, **meta}, ensure_ascii=False
        )
        (self.temp / "store.json").write_text(text, encoding="utf-8")
        if self.folder.exists():
            shutil.rmtree(self.folder)
        os.replace(self.temp, self.folder)


class TreeStore(Sequence[TokenTree]):
    """A finished store as a sequence of trees."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        if self.meta["format"] != FORMAT:
            raise RunError(f"{folder}: token store of format {self.meta['format']}, expected {FORMAT}; delete it")
        self.segments = np.load(folder / "segments.npy")
        self.sources = np.load(folder / "sources.npy")
        empty = self.meta["tokens"] == 0
        self.ids = np.empty(0, np.int32) if empty else np.memmap(folder / "ids.bin", np.int32, "r")
        self.weights = np.empty(0, np.float32) if empty else np.memmap(folder / "weights.bin", np.float32, "r")
        self.first = np.searchsorted(self.segments[:, 0], np.arange(len(self.sources) + 1))

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
        desirable = None if verdict == _NO_VERDICT else bool(verdict)
        return TokenTree(parts, Source(self.meta["files"][file], int(row)), desirable)

    def __iter__(self) -> Iterator[TokenTree]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each tree."""
        sizes = self.segments[:, 3] - self.segments[:, 2]
        return np.bincount(self.segments[:, 0], weights=sizes, minlength=len(self)).astype(np.int64)

    @property
    def verdicts(self) -> tuple[int, int]:
        """How many trees hold a desirable and how many an undesirable answer."""
        return int((self.sources[:, 2] == 1).sum()), int((self.sources[:, 2] == 0).sum())

    @property
    def trained(self) -> int:
        """Tokens with a loss weight."""
        return int((self.weights > 0).sum())
