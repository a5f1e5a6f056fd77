"""What a possible name is worth beside what else its document holds: other names, numbers of people, the same name again, its rivals.

Notes hold names in company: a name stands in the line of a number, of another name, of a label. `name_score` weighs these features after
it has looked at each possible name for itself.
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from medicalgpt.phi.keep import kept
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.spans import Span

OTHERS: Final = -4.0
"""A possible name below this score is no company for others."""
MOST: Final = 6.0
"""Scores are cut here: more says no more."""
REACHES: Final = (4, 16, 48)
"""Characters within which something is near; the last is about a line."""
_WORDLIKE: Final = frozenset({Kind.NAME, Kind.DATE, Kind.AGE, Kind.ORGANIZATION, Kind.ADDRESS, Kind.URL})
LABELED: Final = 0.9
"""From this confidence on, a label stands before a name that a rule found."""
_SORTS: Final = ("number", "label", "address", "date", "organization")


@dataclass(frozen=True, order=True, slots=True)
class Scored:
    """A possible name of a text, and its score by itself."""

    score: float
    start: int
    end: int
    family: str


@dataclass
class Marks:
    """Where rules found something in a text: by sort, ends and starts in order."""

    of: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    @classmethod
    def of_text(cls, text: str, spans: Sequence[Span]) -> "Marks":
        """Of spans that rules found in a text, without what is never masked."""
        return cls.from_spans([span for span in spans if kept(text, span) is None])

    @classmethod
    def from_spans(cls, spans: Sequence[Span]) -> "Marks":
        """The same from spans of rules."""
        of: dict[str, list[tuple[int, int]]] = {sort: [] for sort in _SORTS}
        for span in spans:
            if sort := _sort(span):
                of[sort].append((span.start, span.end))
        return cls({sort: sorted(set(places)) for sort, places in of.items()})

    def places(self) -> list[tuple[int, int]]:
        """Where numbers of people and labeled names stand."""
        return [*self.of["number"], *self.of["label"]]

    def covered(self, size: int, sorts: Sequence[str]) -> bytearray:
        """Which of `size` characters are in something of these sorts: 1 a character, or 0."""
        found = bytearray(size)
        for sort in sorts:
            for start, end in self.of[sort]:
                found[start:end] = b"\x01" * (end - start)
        return found

    def distance(self, sort: str, start: int, end: int) -> int:
        """Characters between a place and the nearest of a sort that it does not overlap; a large number where there is none."""
        places = self.of[sort]
        at = bisect_left(places, (start, 0))
        near = [places[i] for i in range(max(0, at - 2), min(len(places), at + 3))]
        apart = [max(a - end, start - b) for a, b in near if b <= start or end <= a]
        return min(apart, default=10_000)


def _sort(span: Span) -> str | None:
    if span.kind is Kind.NAME:
        return "label" if span.confidence >= LABELED else None
    if span.kind is Kind.DATE:
        return "date"
    if span.kind in (Kind.ADDRESS, Kind.ORGANIZATION):
        return str(span.kind)
    return None if span.kind in _WORDLIKE else "number"


class Company:
    """The possible names of one text, what rules found there, and what its document holds besides."""

    def __init__(self, text: str, names: Sequence[Scored], marks: Marks, elsewhere: float, marked: int) -> None:
        self._text, self._marks = text, marks
        self._names = sorted(names, key=lambda name: (name.start, name.end))
        self._starts = [name.start for name in self._names]
        self._others = [name for name in self._names if name.score >= OTHERS]
        self._other_starts = [name.start for name in self._others]
        self._mass = sum(map(likely, self._others)) + elsewhere
        self._marked = marked
        self._same = defaultdict[str, list[float]](list)
        for name in self._others:
            self._same[text[name.start : name.end]].append(name.score)

    def features(self, name: Scored) -> Iterator[tuple[str, float]]:
        """The features of one of the names."""
        score = max(name.score, -12.0)
        yield "score", score
        for knot in (-7.0, -4.0, -1.0, 2.0):
            if score > knot:
                yield f"score over {knot:g}", score - knot
        yield f"family {name.family}", 1.0
        yield f"score of {name.family}", score
        yield from self._near_marks(name)
        yield from self._near_names(name)
        yield from self._rivals(name)
        again = [s for s in self._same[self._text[name.start : name.end]] if s != name.score]
        if again:
            yield "again", _height(max(again))

    def _near_marks(self, name: Scored) -> Iterator[tuple[str, float]]:
        yield "marks of the document", math.log1p(self._marked)
        for sort in _SORTS:
            distance = self._marks.distance(sort, name.start, name.end)
            for reach in REACHES:
                if distance <= reach:
                    yield f"{sort} within {reach}", 1.0

    def _near_names(self, name: Scored) -> Iterator[tuple[str, float]]:
        own = 0.0
        best = dict.fromkeys(REACHES, OTHERS)
        for other in self._around(self._others, self._other_starts, name):
            if other.start < name.end and name.start < other.end:
                own += likely(other)
                continue
            distance = max(other.start - name.end, name.start - other.end)
            for reach in REACHES:
                if distance <= reach:
                    best[reach] = max(best[reach], other.score)
        for reach, score in best.items():
            if score > OTHERS:
                yield f"name within {reach}", _height(score)
        yield "names of the document", math.log1p(max(0.0, self._mass - own))

    def _around(self, names: list[Scored], starts: list[int], name: Scored) -> list[Scored]:
        low = bisect_left(starts, name.start - REACHES[-1] - 7)
        return names[low : bisect_right(starts, name.end + REACHES[-1])]

    def _rivals(self, name: Scored) -> Iterator[tuple[str, float]]:
        """By how much the best other reading of the same place is ahead or behind: a longer one, a shorter one, one that crosses it."""
        low = bisect_left(self._starts, name.start - 7)
        ahead: dict[str, float] = {}
        for other in self._names[low : bisect_left(self._starts, name.end)]:
            if other.end <= name.start or (other.start, other.end) == (name.start, name.end):
                continue
            within = name.start <= other.start and other.end <= name.end
            around = other.start <= name.start and name.end <= other.end
            sort = "shorter" if within else "longer" if around else "crossing"
            ahead[sort] = max(ahead.get(sort, -99.0), other.score)
        for sort, score in ahead.items():
            lead = max(-MOST, min(MOST, score - name.score))
            yield f"{sort} rival", 1.0
            yield f"{sort} rival {'ahead' if lead > 0 else 'behind'}", lead
            if lead > 0:
                yield f"{sort} rival likely", _height(score)


def likely(name: Scored) -> float:
    """The chance that the score of a name by itself stands for."""
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, name.score))))


def _height(score: float) -> float:
    return min(score, MOST) - OTHERS
