"""Held-out data: which records ask the same thing, and a seeded choice among the distinct things asked.

The choice is one of rows where rows are alike, and one of text where they are not: of a shelf with one book and some
leaflets "5 %" must not take the book. Long documents give passages then.
"""

import heapq
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from itertools import groupby
from typing import Final

import numpy as np

from medicalgpt.data.normal import normalized
from medicalgpt.data.passages import SHORTEST, passages
from medicalgpt.data.read_row import record_texts
from medicalgpt.data.records import Dialogue, Document, Feedback, Preference, Record

LONG: Final = 8_000
"""Characters: shorter documents are held out as a whole."""

_BLOCK: Final = 1 << 16  # keys whose digests are together in memory

RULE: Final = 2
"""Changes with the way rows are chosen, so that what an older version cached is not taken for a split of this one."""


def group_key(record: Record) -> str:
    """16 hex characters that are equal for records which ask the same.

    A dialogue is known by its first user turn, a preference or feedback by the user turns of its prompt, a document by its text.
    """
    match record:
        case Document():
            texts = [record.text]
        case Dialogue():
            texts = [m.content for m in record.messages if m.role == "user"][:1]
        case Preference() | Feedback():
            texts = [m.content for m in record.prompt if m.role == "user"]
    return _key(texts)


def _key(texts: Iterable[str]) -> str:
    joined = "\n".join(normalized(text) for text in texts)
    return blake2b(joined.encode(), digest_size=8).hexdigest()


def choose_eval(keys: Sequence[str], fraction: float, seed: int) -> set[str]:
    """The keys to hold out: `round(fraction × distinct keys)` of them, whatever their order and repetitions.

    At least one when `fraction` is above 0 and there are two or more distinct keys, and never all of them.

    Raises:
        ValueError: `fraction` outside [0, 1).
    """
    distinct = set(keys)
    return set(heapq.nsmallest(_number(len(distinct), fraction), distinct, key=partial(_rank, seed)))


def _number(distinct: int, fraction: float) -> int:
    """How many of the distinct keys are held out. Raises ValueError as `choose_eval`."""
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction is {fraction}; allowed: 0 up to, but not, 1")
    if fraction == 0 or distinct < 2:
        return 0
    return min(max(round(fraction * distinct), 1), distinct - 1)


def _rank(seed: int, key: str) -> tuple[bytes, str]:
    return blake2b(f"{seed}:{key}".encode(), digest_size=16).digest(), key


@dataclass
class Sizes:
    """How much text each thing asked has, in 16 bytes a row: keys as numbers, and characters."""

    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    characters: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, key: str, characters: int) -> None:
        """Count a row."""
        self.keys.append(int(key, 16))
        self.characters.append(characters)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys and characters of the rows, both of shape [rows]."""
        return np.asarray(self.keys, np.uint64), np.asarray(self.characters, np.int64)

    def shared(self, others: "Sizes") -> int:
        """How many distinct keys both have."""
        return len(np.intersect1d(self.arrays[0], others.arrays[0]))

    def some(self, fraction: float, seed: int, most: float) -> frozenset[str]:
        """The keys of `choose_eval`, with those that would bring the text above `most` characters passed over."""
        keys, sizes = _ordered(*_distinct(*self.arrays), seed)
        return _named(_within(keys, sizes, _number(len(keys), fraction), most))


@dataclass(frozen=True)
class Split:
    """Which records are held out: those with a key in `whole`, and passages of the documents with a key in `cut`."""

    whole: frozenset[str] = frozenset()
    cut: frozenset[str] = frozenset()
    fraction: float = 0.0
    seed: int = 0

    def __bool__(self) -> bool:
        return bool(self.whole or self.cut)

    def parts(self, record: Record) -> list[tuple[Record, bool]]:
        """The record and whether it is held out; of a document that is cut, its stretches of either kind in order.

        A passage that comes again in its document is on the same side each time.
        """
        key = group_key(record) if self else ""
        if not isinstance(record, Document) or key not in self.cut:
            return [(record, key in self.whole)]
        texts = passages(record.text, self.fraction)
        keys = [_key([text]) for text in texts]
        sizes = Sizes()
        for name, text in zip(keys, texts):
            sizes.add(name, len(text))
        held = sizes.some(self.fraction, self.seed, 2 * self.fraction * len(record.text))
        runs = [(side, list(run)) for side, run in groupby(range(len(texts)), lambda i: keys[i] in held)]
        return [
            (
                replace(record, text="".join(texts[i] for i in run), ends=record.ends and run[-1] == len(texts) - 1),
                side,
            )
            for side, run in runs
        ]


def split_records(records: Iterable[Record], fraction: float, seed: int) -> Split:
    """The split of records, read once. Raises ValueError as `choose_eval`."""
    sizes = Sizes()
    documents = False
    for record in records:
        documents = isinstance(record, Document)
        sizes.add(group_key(record), sum(map(len, record_texts(record))))
    return split_of(*sizes.arrays, fraction, seed, documents)


def choose_split(sizes: Mapping[str, int], fraction: float, seed: int, documents: bool) -> Split:
    """As `split_of`, for keys with their sizes. Raises ValueError as `choose_eval`."""
    keys = np.asarray([int(key, 16) for key in sizes], np.uint64)
    return split_of(keys, np.asarray(list(sizes.values()), np.int64), fraction, seed, documents)


def split_of(keys: np.ndarray, characters: np.ndarray, fraction: float, seed: int, documents: bool) -> Split:
    """The split for rows with `keys` (uint64, a key may come again) and their `characters`, both of shape [rows].

    The keys of `choose_eval`, unless they hold more text than they could where no row is more than twice as long as
    another: then a row that is too much gives way to the next. Of `documents`, those above LONG give passages, each its
    `fraction`, when the choice of whole ones holds more than that or less than half its share, when one of them alone is
    more than twice `fraction` of all text, or when there is one document only.

    Raises:
        ValueError: as `choose_eval`.
    """
    keys, sizes = _distinct(keys, characters)
    count, total = _number(len(keys), fraction), int(sizes.sum())
    if fraction == 0 or total == 0:
        return Split()
    if len(keys) == 1:
        cut = documents and total >= 2 * SHORTEST
        return Split(cut=_named(keys), fraction=fraction, seed=seed) if cut else Split()
    keys, sizes = _ordered(keys, sizes, seed)
    text = int(sizes[:count].sum())
    most = 2 * count * total // (len(keys) + count)  # what the longest rows hold where none is twice as long as another
    # Of a shorter document the shortest passage would be more than twice its fraction.
    least = max(LONG, SHORTEST / (2 * fraction))
    long = (sizes > least) & documents
    even = 2 * text * len(keys) >= count * total and int(sizes.max()) <= 2 * fraction * total
    if text <= most and (even or not long.any()):
        return Split(_named(keys[:count]))
    if not long.any():
        return Split(_named(_within(keys, sizes, count, most)))
    short = ~long
    whole = round(fraction * int(short.sum()))
    within = _within(keys[short], sizes[short], whole, 2 * fraction * int(sizes[short].sum()))
    return Split(_named(within), _named(keys[long]), fraction, seed)


def _distinct(keys: np.ndarray, characters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each key once, with all of its characters."""
    order = np.argsort(keys)
    keys = keys[order]
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))[: len(keys)])
    sizes = np.add.reduceat(characters[order], first) if len(first) else characters
    return keys[first], sizes.astype(np.int64, copy=False)


def _ordered(keys: np.ndarray, sizes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys and their sizes in the order in which they are chosen."""
    ranks = np.empty((len(keys), 2), ">u8")
    for start in range(0, len(keys), _BLOCK):
        digests = b"".join(_rank(seed, f"{key:016x}")[0] for key in keys[start : start + _BLOCK].tolist())
        ranks[start : start + _BLOCK] = np.frombuffer(digests, ">u8").reshape(-1, 2)
    order = np.lexsort((keys, ranks[:, 1], ranks[:, 0]))
    return keys[order], sizes[order]


def _named(keys: np.ndarray) -> frozenset[str]:
    return frozenset(f"{key:016x}" for key in keys.tolist())


def _within(keys: np.ndarray, sizes: np.ndarray, count: int, most: float) -> np.ndarray:
    """The first `count` of keys in order, passing over those that would bring the text above `most`; the shortest one
    where that leaves none."""
    found: list[int] = []
    taken = 0
    for number, size in enumerate(sizes.tolist()):
        if len(found) == count:
            break
        if taken + size <= most:
            found.append(number)
            taken += size
    if count and not found:
        found = [int(np.argmin(sizes))]
    return keys[found]


def leaks(train_keys: Iterable[str], eval_keys: Iterable[str]) -> int:
    """How many distinct held-out keys also occur among the training keys."""
    return len(set(train_keys) & set(eval_keys))
