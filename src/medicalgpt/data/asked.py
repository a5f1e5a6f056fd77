"""The distinct things that rows ask, each with its size, in the seeded order in which a split takes them.

Keys are hashes, so many rows are put in order in parts: by the first bits of the key to find each key once, then by those
of its rank. Only one part at a time is in memory, however many rows there are.
"""

from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np

from medicalgpt.disk.failures import LARGER_CACHE, writing

KeySizes = tuple[np.ndarray, np.ndarray]
"""Keys (uint64) and characters (int64) of some rows, both of shape [rows]."""

PART: Final = 1 << 16
"""Rows of a part: about so many are in memory at a time."""
_MOST_PARTS: Final = 512  # files that are open together
_KEYED: Final = np.dtype([("key", "u8"), ("size", "i8")])
_RANKED: Final = np.dtype([("first", "u8"), ("second", "u8"), ("key", "u8"), ("size", "i8")])


class Keys(Set[str]):
    """A set of keys in 8 bytes each. Keys are written as 16 hex characters."""

    def __init__(self, numbers: Iterable[np.ndarray] = ()) -> None:
        self._numbers = np.sort(np.concatenate([np.empty(0, np.uint64), *numbers]))

    @classmethod
    def of(cls, keys: Set[str]) -> "Keys":
        """The same keys."""
        return keys if isinstance(keys, cls) else cls([np.asarray([int(key, 16) for key in keys], np.uint64)])

    def mask(self, keys: np.ndarray) -> np.ndarray:
        """Which of some keys (uint64) are in the set, of the same shape."""
        at = np.searchsorted(self._numbers, keys)
        found = at < len(self._numbers)
        found[found] = self._numbers[at[found]] == keys[found]
        return found

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.mask(np.asarray([int(key, 16)], np.uint64))[0])

    def __iter__(self) -> Iterator[str]:
        return (f"{key:016x}" for key in self._numbers.tolist())

    def __len__(self) -> int:
        return len(self._numbers)


def rank(seed: int, key: str) -> tuple[bytes, str]:
    """What keys are sorted by to be chosen."""
    return blake2b(f"{seed}:{key}".encode(), digest_size=16).digest(), key


@dataclass(frozen=True)
class Asked:
    """How many distinct keys there are, the sizes of all and of the longest, and `blocks` of them in the order of choice."""

    count: int
    total: int
    longest: int
    blocks: Callable[[], Iterator[KeySizes]]


def in_memory(keys: np.ndarray, sizes: np.ndarray, seed: int) -> Asked:
    """Of rows with these keys, of which one may come again."""
    found = distinct(keys, sizes)
    ordered = _in_order(_ranked(*found, seed))
    return Asked(len(found[0]), int(found[1].sum()), int(found[1].max(initial=0)), lambda: iter([ordered]))


def on_disk(rows: Iterable[KeySizes], count: int, seed: int, folder: Path) -> Asked:
    """The same of about `count` rows that come in blocks, sorted by means of files in `folder`.

    Raises:
        RunError: these cannot be written.
    """
    by_key, by_rank = (_Parts(folder / name, kind, count) for name, kind in (("keys", _KEYED), ("ranks", _RANKED)))
    with by_key:
        for block in rows:
            by_key.add("key", _table(_KEYED, *distinct(*block)))
    number = total = longest = 0
    with by_rank:
        for part in by_key.read():
            keys, sizes = distinct(part["key"], part["size"])
            number, total = number + len(keys), total + int(sizes.sum())
            longest = max(longest, int(sizes.max(initial=0)))
            by_rank.add("first", _ranked(keys, sizes, seed))
    by_key.delete()
    return Asked(number, total, longest, lambda: map(_in_order, by_rank.read()))


def shared(ours: Iterable[np.ndarray], theirs: Iterable[np.ndarray], count: int, folder: Path) -> int:
    """How many distinct keys are in both of two lots, of about `count` in all. Raises RunError as `on_disk`."""
    lots = [_Parts(folder / name, np.dtype([("key", "u8")]), count) for name in ("ours", "theirs")]
    for lot, blocks in zip(lots, (ours, theirs)):
        with lot:
            for block in blocks:
                lot.add("key", _table(lot.kind, np.unique(block)))
    found = sum(len(np.intersect1d(a["key"], b["key"])) for a, b in zip(*(lot.read() for lot in lots)))
    for lot in lots:
        lot.delete()
    return found


def distinct(keys: np.ndarray, sizes: np.ndarray) -> KeySizes:
    """Each key once, with all of its characters, sorted."""
    order = np.argsort(keys)
    keys = keys[order]
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))[: len(keys)])
    summed = np.add.reduceat(sizes[order], first) if len(first) else sizes
    return keys[first], summed.astype(np.int64, copy=False)


def _ranked(keys: np.ndarray, sizes: np.ndarray, seed: int) -> np.ndarray:
    digests = b"".join(rank(seed, f"{key:016x}")[0] for key in keys.tolist())
    ranks = np.frombuffer(digests, ">u8").reshape(-1, 2)
    return _table(_RANKED, ranks[:, 0], ranks[:, 1], keys, sizes)


def _in_order(ranked: np.ndarray) -> KeySizes:
    order = np.lexsort((ranked["key"], ranked["second"], ranked["first"]))
    return ranked["key"][order], ranked["size"][order]


def _table(kind: np.dtype, *columns: np.ndarray) -> np.ndarray:
    found = np.empty(len(columns[0]), kind)
    for name, column in zip(kind.names or (), columns):
        found[name] = column
    return found


class _Parts:
    """Lines put into files by the first bits of one of their fields. As a context manager it is open for `add`."""

    def __init__(self, folder: Path, kind: np.dtype, count: int) -> None:
        self.kind, self._folder = kind, folder
        self._bits = (min(_MOST_PARTS, max(1, count // PART)) - 1).bit_length()
        self._paths = [folder / f"{number}.bin" for number in range(1 << self._bits)]
        self._open = ExitStack()

    def __enter__(self) -> None:
        with self._writing():
            self._folder.mkdir()
            self._files = [self._open.enter_context(path.open("wb")) for path in self._paths]

    def __exit__(self, *error: object) -> None:
        with self._writing():
            self._open.close()

    def add(self, field: str, lines: np.ndarray) -> None:
        """Put lines into their files."""
        number = lines[field] >> np.uint64(64 - self._bits) if self._bits else np.zeros(len(lines), np.uint64)
        order = np.argsort(number, kind="stable")
        ends = np.searchsorted(number[order], np.arange(len(self._files)), side="right")
        with self._writing():
            for file, part in zip(self._files, np.split(lines[order], ends[:-1])):
                file.write(part.tobytes())

    def read(self) -> Iterator[np.ndarray]:
        """The lines of each file; their bits rise from file to file."""
        return (np.fromfile(path, self.kind) for path in self._paths)

    def delete(self) -> None:
        """They are no longer needed."""
        for path in self._paths:
            path.unlink()
        self._folder.rmdir()

    def _writing(self) -> AbstractContextManager[None]:
        return writing("the table of rows", self._folder.parent, remedy=LARGER_CACHE)
