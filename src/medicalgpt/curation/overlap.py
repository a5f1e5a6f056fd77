"""Items of tests in rows: an item is found where most of its n-grams stand close together.

An item is known by two texts: its question alone, where that is long enough to say something, and its question with its options,
whose order does not count as each option has n-grams of its own. A shorter question is found where it is a whole line.
Paraphrases are not found (arXiv 2602.12413).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from medicalgpt.config.curation import Containment, NgramSizes, Script
from medicalgpt.curation.matching import comparable, ngrams

SHORTEST: Final[Mapping[Script, int]] = {"zh": 10, "en": 24}
"""Characters of a question that is looked for without its options."""
_CHUNK: Final = 1 << 15
"""n-grams of a row that are looked at together; chunks overlap by half."""
_MARK: Final = np.uint64((1 << 24) - 1)
_FEWEST: Final = 3  # n-grams of an item that can be found
_ENOUGH: Final = 8
"""n-grams of a question with its options; where there are fewer, its 3-grams are looked for, and nearly all must be there."""
_LABEL: Final = re.compile(r"^(?:问题|题目|question|q|\d{1,4})")
"""What may stand in front of a question in its line, in comparable text."""
_LINE: Final = 80  # characters of a line that may be a short question
_LEAST: Final = 6  # characters of a question that is looked for as a line
_LONG_NGRAM: Final = 10
_PLENTY: Final = 110
"""Characters of an item from which on the threshold itself is enough."""
_SHORT: Final = 3
_NEARLY_ALL: Final = 0.9


@dataclass(frozen=True, slots=True)
class SoughtItem:
    """An item of a test: `parts` are its question and its options."""

    test: str
    id: str
    parts: tuple[str, ...]
    language: Script


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """An item that stands in a row; `verbatim`: its whole question does, not only most of it."""

    test: str
    id: str
    verbatim: bool


@dataclass(frozen=True)
class _Index:
    """n-grams of one size: sorted, and for each the keys that have it (from `starts[i]` to `starts[i + 1]` of `keys`).

    `marks` is true at the last bits of each: nearly all n-grams of other text are told by it without a search.
    """

    size: int
    marks: np.ndarray
    grams: np.ndarray
    starts: np.ndarray
    keys: np.ndarray


@dataclass
class ItemIndex:
    """All items that are looked for. Keys number the texts by which items are known; an item has one or two."""

    items: list[SoughtItem] = field(default_factory=list)
    unfindable: dict[str, int] = field(default_factory=dict)
    """Items by test that are too short to be told from other text."""
    _owner: list[int] = field(default_factory=list)
    _wanted: list[float] = field(default_factory=list)
    _length: list[int] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)
    _questions: list[str] = field(default_factory=list)
    _by_size: list[_Index] = field(default_factory=list)
    _lines: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Sequence[SoughtItem], sizes: NgramSizes, thresholds: Containment) -> "ItemIndex":
        """The index of items."""
        made = cls(list(items))
        pairs: dict[int, tuple[list[np.ndarray], list[np.ndarray]]] = {}
        for number, item in enumerate(items):
            chinese = item.language == "zh"
            size, threshold = sizes.zh if chinese else sizes.en, thresholds.zh if chinese else thresholds.en
            parts = [comparable(part) for part in item.parts]
            made._questions.append(parts[0])
            found = False
            if len(parts[0]) >= max(size + _FEWEST, SHORTEST[item.language]):
                found |= made._add(number, parts[:1], size, threshold, pairs, _FEWEST)
            elif len(parts[0]) >= _LEAST:
                made._lines.setdefault(_LABEL.sub("", parts[0]), []).append(number)
                found = True
            if len(parts) > 1:
                whole = made._add(number, parts, size, threshold, pairs, _ENOUGH)
                found |= whole or made._add(number, parts, _SHORT, max(threshold, _NEARLY_ALL), pairs, _FEWEST)
            if not found:
                made.unfindable[item.test] = made.unfindable.get(item.test, 0) + 1
        made._by_size = [_indexed(size, *both) for size, both in sorted(pairs.items())]
        return made

    def _add(
        self,
        number: int,
        texts: Sequence[str],
        size: int,
        threshold: float,
        pairs: dict[int, tuple[list[np.ndarray], list[np.ndarray]]],
        fewest: int,
    ) -> bool:
        grams = np.unique(np.concatenate([ngrams(text, size) for text in texts if len(text) >= size] or [_NONE]))
        if len(grams) < fewest:
            return False
        listed = pairs.setdefault(size, ([], []))
        listed[0].append(grams)
        listed[1].append(np.full(len(grams), len(self._owner), np.int64))
        self._owner.append(number)
        self._wanted.append(_wanted(threshold, sum(map(len, texts)), size))
        self._length.append(sum(map(len, texts)))
        self._counts.append(len(grams))
        return True

    def find(self, text: str) -> list[Hit]:
        """Items that stand in a row's text, in order."""
        plain = comparable(text)
        found: set[int] = set()
        for index in self._by_size:
            if len(plain) >= index.size:
                found |= self._keys_in(ngrams(plain, index.size), index)
        owners = {self._owner[key] for key in found}
        if self._lines:
            lines = (comparable(line) for line in text.splitlines() if len(line) <= _LINE)
            owners.update(number for line in lines for number in self._lines.get(_LABEL.sub("", line), ()))
        return sorted(
            Hit(item.test, item.id, self._questions[number] in plain)
            for number, item in ((number, self.items[number]) for number in owners)
        )

    def _keys_in(self, grams: np.ndarray, index: _Index) -> set[int]:
        places = np.flatnonzero(index.marks[grams & _MARK])
        at = np.minimum(np.searchsorted(index.grams, grams[places]), len(index.grams) - 1)
        there = index.grams[at] == grams[places]
        places, at = places[there], at[there]
        found: set[int] = set()
        start = 0
        while start < len(grams) and len(places):
            inside = slice(*np.searchsorted(places, (start, start + _CHUNK)))
            if len(places[inside]) >= _FEWEST:
                found |= self._close(places[inside], at[inside], index)
            start += _CHUNK // 2
        return found

    def _close(self, places: np.ndarray, which: np.ndarray, index: _Index) -> set[int]:
        """Keys enough of whose n-grams stand within about twice the length of their text."""
        distinct = np.unique(which)
        owners = np.concatenate([index.keys[index.starts[g] : index.starts[g + 1]] for g in distinct])
        keys, counts = np.unique(owners, return_counts=True)
        enough = [int(key) for key, count in zip(keys, counts) if count >= self._wanted[key] * self._counts[key] - 1e-9]
        return {key for key in enough if self._is_local(key, places, which, index)}

    def _is_local(self, key: int, places: np.ndarray, which: np.ndarray, index: _Index) -> bool:
        own = np.asarray([key in index.keys[index.starts[g] : index.starts[g + 1]] for g in np.unique(which)])
        mine = np.isin(which, np.unique(which)[own])
        where, grams = places[mine], which[mine]
        need, width = self._wanted[key] * self._counts[key] - 1e-9, 2 * self._length[key] + 64
        held: dict[int, int] = {}
        left = 0
        for right, gram in enumerate(grams.tolist()):
            held[gram] = held.get(gram, 0) + 1
            while where[right] - where[left] > width:
                old = int(grams[left])
                held[old] -= 1
                if not held[old]:
                    del held[old]
                left += 1
            if len(held) >= need:
                return True
        return False


_NONE: Final = np.empty(0, np.uint64)


def _wanted(threshold: float, length: int, size: int) -> float:
    """Share of n-grams that must stand together: long n-grams are found whole in every other text on the same disease ("basal cell
    carcinoma"), so that of short texts more is wanted."""
    if size < _LONG_NGRAM:
        return threshold
    return max(threshold, _NEARLY_ALL - (_NEARLY_ALL - threshold) * length / _PLENTY)


def _indexed(size: int, grams: list[np.ndarray], keys: list[np.ndarray]) -> _Index:
    every, owner = np.concatenate(grams), np.concatenate(keys)
    order = np.argsort(every, kind="stable")
    distinct, starts = np.unique(every[order], return_index=True)
    marks = np.zeros(int(_MARK) + 1, bool)
    marks[distinct & _MARK] = True
    return _Index(size, marks, distinct, np.append(starts, len(every)), owner[order])
