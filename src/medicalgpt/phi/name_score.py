"""Chinese names by a weighed sum of what speaks for and against each: log-linear models with their weights in lists/zh/weights_*.txt.

Each possible name has a score by itself (`name_features`), and a second one that also weighs what stands in its document
(`name_company`). Both are fitted by `benchmarks/phi_fit.py` on made-up notes and on text without names.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from medicalgpt.phi.keep import kept
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lac import Reading
from medicalgpt.phi.name_blanks import Closed
from medicalgpt.phi.name_company import Company, Marks, Scored, likely
from medicalgpt.phi.name_features import Edge, between, family, left, right
from medicalgpt.phi.name_places import Place, candidates, near
from medicalgpt.phi.name_weights import COMPANY, NAMES
from medicalgpt.phi.spans import Span

LEAST: Final = 0.0
"""The score (log-odds) from which a possible name counts as one."""
BESIDE: Final = -4.0
"""The same near numbers of people, labeled names and names that are sure."""
BESIDE_OF: Final = {("none", 2): -0.5, ("weak", 2): -2.0}
"""The same by family and length, where next to nothing that scores less is a name."""
LEAD: Final = 6.0
"""By how much a reading of a place must be likelier than another one for that not to count."""
SURE: Final = 1.0
"""From this score on it is looked for in the whole document, however short it is, and makes others near it likely."""
HOPELESS: Final = -8.0
"""Below this score by itself nothing in a document makes a name of it."""
CERTAIN: Final = 0.0
"""Near a possible name of this score by itself more names are likely."""


class _Scorer:
    """The scores of a text's possible names by themselves; what hangs on one edge alone is summed up once an edge."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._left: dict[int, tuple[Edge, float]] = {}
        self._right: dict[int, tuple[Edge, float]] = {}
        self._known: dict[tuple[int, int], Scored] = {}  # most are possible both times

    def __call__(self, start: int, end: int) -> Scored:
        if found := self._known.get((start, end)):
            return found
        if start not in self._left:
            edge = left(self._place, start)
            self._left[start] = edge, _sum(edge.features)
        if end not in self._right:
            edge = right(self._place, end)
            self._right[end] = edge, _sum(edge.features)
        (before, one), (behind, other) = self._left[start], self._right[end]
        score = NAMES["bias"] + one + other + _sum(between(self._place, start, end, before, behind))
        found = self._known[start, end] = Scored(score, start, end, family(self._place.plain, start, end)[0])
        return found


def _sum(features: Iterable[tuple[str, float]]) -> float:
    weight = NAMES.get
    return sum([weight(name, 0.0) * value for name, value in features])


def possible(place: Place, marks: Marks) -> list[Scored]:
    """The possible names of a text: more of them near numbers of people, labeled names and names that are certain by themselves."""
    score = _Scorer(place)

    def found(certain: Sequence[tuple[int, int]] = ()) -> list[Scored]:
        return [name for at in candidates(place, certain) if (name := score(*at)).score >= HOPELESS]

    names = found()
    certain = [*marks.places(), *((n.start, n.end) for n in names if n.score >= CERTAIN and _somebody(place.text, n))]
    return found(certain) if certain else names


def _somebody(text: str, name: Scored) -> bool:
    """Whether a name is on no list of what is never masked: 葛洪, 帕金森."""
    return kept(text, Span(name.start, name.end, Kind.NAME, "lac:score", 0.7)) is None


def weighed(names: Sequence[Scored], company: Company) -> list[tuple[float, Scored]]:
    """The names with their scores in company, the best first."""
    bias = COMPANY["bias"]
    return sorted(
        ((bias + sum(COMPANY.get(key, 0.0) * value for key, value in company.features(name)), name) for name in names),
        reverse=True,
    )


def counting(text: str, names: Sequence[tuple[float, Scored]], marks: Marks) -> list[tuple[float, int, int]]:
    """Scores and places of those of the weighed names that count; none reaches into a number, an address or a date, and
    of those that are not sure, none into an institution."""
    others = marks.covered(len(text), ("number", "address", "date"))
    units = marks.covered(len(text), ("organization",))
    sure = near(
        text, [*marks.places(), *((n.start, n.end) for score, n in names if score >= SURE and _somebody(text, n))]
    )
    return [
        (score, n.start, n.end)
        for score, n in names
        if score >= (BESIDE_OF.get((n.family, n.end - n.start), BESIDE) if sure[n.start] else LEAST)
        and not any(others[n.start : n.end])
        and (score >= SURE or units[n.start] == units[n.end - 1])
    ]


def without_led(names: Sequence[tuple[float, int, int]], size: int) -> Iterator[tuple[float, int, int]]:
    """Of two readings of one place in a text of `size` characters both are covered, unless one is far likelier."""
    best = [-99.0] * size
    for score, start, end in sorted(names, reverse=True):
        if max(best[start:end]) <= score + LEAD:
            yield score, start, end
            best[start:end] = [max(score, other) for other in best[start:end]]


@dataclass(frozen=True)
class Text:
    """The text of a document, or a sentence of it without blanks in runs (`closed`)."""

    index: int
    text: str
    reading: Reading
    marks: Marks
    closed: Closed | None = None


def by_score(texts: Sequence[Text]) -> Iterator[tuple[int, Span]]:
    """Names that score high enough, with the number of their document. Sentences of a document stand behind it."""
    mass, marked, size = dict[int, float](), dict[int, int](), dict[int, int]()
    found = defaultdict[int, list[tuple[float, int, int]]](list)
    for one in texts:
        names = possible(Place.of(one.text, one.reading), one.marks)
        if one.closed is None:
            mass[one.index], marked[one.index] = sum(map(likely, names)), len(one.marks.places())
            size[one.index] = len(one.text)
        company = Company(one.text, names, one.marks, mass[one.index] if one.closed else 0.0, marked[one.index])
        for score, start, end in counting(one.text, weighed(names, company), one.marks):
            if place := one.closed.opened(start, end) if one.closed else (start, end):
                found[one.index].append((score, *place))
    for index, each in found.items():
        for score, start, end in without_led(each, size[index]):
            yield index, Span(start, end, Kind.NAME, "lac:score", 0.7 if score >= SURE else 0.66)
