"""Held-out data: which records ask the same thing, and a seeded choice among the distinct things asked.

The choice is one of rows where rows are alike, and one of text where they are not: of a shelf with one book and some
leaflets "5 %" must not take the book. Long documents give passages then.
"""

import heapq
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from itertools import groupby
from typing import Final

import numpy as np

from medicalgpt.data.asked import Asked, Keys, KeySizes, in_memory, rank
from medicalgpt.data.normal import normalized
from medicalgpt.data.passages import SHORTEST, passages
from medicalgpt.data.read_row import record_texts
from medicalgpt.data.records import Dialogue, Document, Feedback, Preference, Record

LONG: Final = 8_000
"""Characters: shorter documents are held out as a whole."""

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
    return set(heapq.nsmallest(_number(len(distinct), fraction), distinct, key=partial(rank, seed)))


def _number(distinct: int, fraction: float) -> int:
    """How many of the distinct keys are held out. Raises ValueError as `choose_eval`."""
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction is {fraction}; allowed: 0 up to, but not, 1")
    if fraction == 0 or distinct < 2:
        return 0
    return min(max(round(fraction * distinct), 1), distinct - 1)


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
    def arrays(self) -> KeySizes:
        """Keys and characters of the rows."""
        return np.asarray(self.keys, np.uint64), np.asarray(self.characters, np.int64)

    def some(self, fraction: float, seed: int, most: float) -> Keys:
        """The keys of `choose_eval`, with those that would bring the text above `most` characters passed over."""
        asked = in_memory(*self.arrays, seed)
        return _within(asked.blocks(), _number(asked.count, fraction), most)


@dataclass(frozen=True)
class Split:
    """Which records are held out: those with a key in `whole`, and passages of the documents with a key in `cut`."""

    whole: Set[str] = frozenset()
    cut: Set[str] = frozenset()
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


def split_of(keys: np.ndarray, characters: np.ndarray, fraction: float, seed: int, documents: bool) -> Split:
    """As `split_asked`, for rows with `keys` (uint64, a key may come again) and their `characters`, both of shape [rows]."""
    return split_asked(in_memory(keys, characters, seed), fraction, seed, documents)


def split_asked(asked: Asked, fraction: float, seed: int, documents: bool) -> Split:
    """The split of what rows ask, which is in the order of the same `seed`.

    The keys of `choose_eval`, unless they hold more text than they could where no row is more than twice as long as
    another: then a row that is too much gives way to the next. Of `documents`, those above LONG give passages, each its
    `fraction`, when the choice of whole ones holds more than that or less than half its share, when one of them alone is
    more than twice `fraction` of all text, or when there is one document only.

    Raises:
        ValueError: as `choose_eval`.
    """
    count = _number(asked.count, fraction)
    if fraction == 0 or asked.total == 0:
        return Split()
    if asked.count == 1:
        cut = documents and asked.total >= 2 * SHORTEST
        return Split(cut=Keys(keys for keys, _ in asked.blocks()), fraction=fraction, seed=seed) if cut else Split()
    text = sum(int(sizes.sum()) for _, sizes in _first(asked.blocks(), count))
    # What the longest rows hold where none is twice as long as another.
    most = 2 * count * asked.total // (asked.count + count)
    # Of a shorter document the shortest passage would be more than twice its fraction.
    least = max(LONG, SHORTEST / (2 * fraction))
    long = documents and asked.longest > least
    even = 2 * text * asked.count >= count * asked.total and asked.longest <= 2 * fraction * asked.total
    if text <= most and (even or not long):
        return Split(Keys(keys for keys, _ in _first(asked.blocks(), count)))
    if not long:
        return Split(_within(asked.blocks(), count, most))
    return _cut(asked, least, fraction, seed)


def _cut(asked: Asked, least: float, fraction: float, seed: int) -> Split:
    """Documents of more than `least` characters are cut, of the others some are held out whole."""
    number = text = 0
    for _, sizes in asked.blocks():
        short = sizes[sizes <= least]
        number, text = number + len(short), text + int(short.sum())
    others = ((keys[sizes <= least], sizes[sizes <= least]) for keys, sizes in asked.blocks())
    whole = _within(others, round(fraction * number), 2 * fraction * text)
    return Split(whole, Keys(keys[sizes > least] for keys, sizes in asked.blocks()), fraction, seed)


def _first(blocks: Iterable[KeySizes], count: int) -> Iterator[KeySizes]:
    """The first `count` of keys in order."""
    for keys, sizes in blocks:
        yield keys[:count], sizes[:count]
        count -= len(keys)
        if count <= 0:
            return


def _within(blocks: Iterable[KeySizes], count: int, most: float) -> Keys:
    """The first `count` of keys in order, passing over those that would bring the text above `most`; the shortest one
    where that leaves none."""
    found: list[np.ndarray] = []
    taken, left = 0, count
    shortest, shortest_size = np.empty(0, np.uint64), math.inf
    for keys, sizes in blocks:
        chosen: list[int] = []
        for number, size in enumerate(sizes.tolist()):
            if len(chosen) == left:
                break
            if taken + size <= most:
                chosen.append(number)
                taken += size
            elif size < shortest_size:
                shortest, shortest_size = keys[number : number + 1], size
        found.append(keys[chosen])
        left -= len(chosen)
        if not left:
            break
    return Keys(found if left < count else [shortest] if count else ())


def leaks(train_keys: Iterable[str], eval_keys: Iterable[str]) -> int:
    """How many distinct held-out keys also occur among the training keys."""
    return len(set(train_keys) & set(eval_keys))
