"""Chinese names by a weighed sum of what speaks for and against each: a log-linear model with its weights in lists/zh/weights_names.txt.

Fitted by `benchmarks/phi_fit.py` on made-up notes and on text without names. Names come together: where a text has one that is certain,
less is asked of the others.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lac import Reading
from medicalgpt.phi.name_blanks import Closed
from medicalgpt.phi.name_features import family, features
from medicalgpt.phi.name_places import Place, candidates
from medicalgpt.phi.name_weights import GIVEN, NAMES
from medicalgpt.phi.spans import Span

CERTAIN: Final = {"common": -0.5, "listed": -0.5, "pair": -0.5, "weak": 0.0, "none": 0.5, "peoples": 0.5}
"""The score (log-odds) from which a name counts by itself, by what its surname is (`name_features.family`)."""
POSSIBLE: Final = {"common": -4.3, "listed": -4.3, "pair": -4.8, "weak": -3.8, "none": -3.3, "peoples": -3.5}
"""The same in a text that has a certain one."""
ALONE: Final = -1.0
"""The score from which a name counts by itself behind a word that announces one, whatever its surname."""
TOLD: Final = -4.0
"""The same in a text that has a certain one."""
OVER: Final = -1.0
"""The same over another one: of two readings of one place both are covered."""
IN_A_ROW: Final = 1.5
"""What is added to the score of a name in an enumeration with another one."""
_ROW: Final = re.compile(r"[、,/和与與及跟] ?")
_ROW_BEFORE: Final = re.compile(f"{_ROW.pattern}$")


@dataclass(frozen=True, order=True)
class Scored:
    """A possible name."""

    score: float
    start: int
    end: int
    family: str
    told: bool

    def least(self, certain: bool) -> float:
        """The score from which it counts, in a text that has a certain name or has not."""
        if not certain:
            return min(CERTAIN[self.family], ALONE) if self.told else CERTAIN[self.family]
        return min(POSSIBLE[self.family], TOLD) if self.told else POSSIBLE[self.family]


def scored(place: Place) -> Iterator[Scored]:
    """The log-odds of each possible name."""
    bias = NAMES["bias"]
    for start, end in candidates(place):
        score = bias + sum(NAMES.get(name, 0.0) * value for name, value in features(place, start, end))
        told = place.announced(start)
        yield Scored(score, start, end, family(place.plain, start, end)[0], told)


@dataclass
class Choice:
    """The possible names of one text, the best first, and which of them were taken."""

    text: str
    plain: str
    names: list[Scored]
    taken: list[Scored] = field(default_factory=list)

    @classmethod
    def of(cls, text: str, reading: Reading) -> "Choice":
        """What stands in a text."""
        return cls(text, reading.plain, sorted(scored(Place.of(text, reading)), reverse=True))

    def certain(self) -> bool:
        """Whether one of them counts by itself."""
        return any(name.score >= name.least(False) for name in self.names)

    def take(self, certain: bool) -> list[Scored]:
        """The names that count in a text that has a certain one, or has not."""
        late = []
        for name in self.names:
            if name.score < name.least(certain):
                late.append(name)
            elif name.score >= OVER or not self._over(name) or self._longer(name):
                self.taken.append(name)
        if certain:
            self._take_rows(late)
        return self.taken

    def _over(self, name: Scored) -> bool:
        return any(other.start < name.end and name.start < other.end for other in self.taken)

    def _longer(self, name: Scored) -> bool:
        """Whether it holds another one and one character more: 是大勇, of which the network likes 大勇, or 姚桂珍, of which it likes 姚桂."""
        return any(
            (other.start == name.start + 1 and other.end == name.end)
            or (other.start == name.start and other.end == name.end - 1 and GIVEN.get(self.plain[other.end], 0) > 1)
            for other in self.taken
        )

    def _take_rows(self, late: Sequence[Scored]) -> None:
        """Names that score too low by themselves, in a row with one that was taken."""
        starts, ends = {name.start for name in self.taken}, {name.end for name in self.taken}
        for name in late:
            if name.score < name.least(True) - IN_A_ROW or self._over(name):
                continue
            before = _ROW_BEFORE.search(self.text[max(0, name.start - 2) : name.start])
            after = _ROW.match(self.text, name.end)
            if (before and name.start - len(before.group()) in ends) or (after and after.end() in starts):
                self.taken.append(name)


def by_score(
    texts: Sequence[str],
    readings: Sequence[Reading],
    spaced: Sequence[tuple[Closed, Reading]],
    left_out: Sequence[bool],
) -> Iterator[tuple[int, Span]]:
    """Names that score high enough, with the number of their text, of texts that are not left out. `spaced` are sentences of the
    texts without blanks in runs."""
    choices = [
        Choice("", "", []) if out else Choice.of(text, reading)
        for text, reading, out in zip(texts, readings, left_out, strict=True)
    ]
    runs = [(one, Choice.of(one.text, reading)) for one, reading in spaced]
    certain = {index for index, choice in enumerate(choices) if choice.certain()}
    certain |= {one.index for one, choice in runs if choice.certain()}
    for index, choice in enumerate(choices):
        for name in choice.take(index in certain):
            yield index, _span(name, name.start, name.end)
    for one, choice in runs:
        for name in choice.take(one.index in certain):
            if place := one.opened(name.start, name.end):
                yield one.index, _span(name, *place)


def _span(name: Scored, start: int, end: int) -> Span:
    return Span(start, end, Kind.NAME, "lac:score", 0.7 if name.score >= name.least(False) else 0.66)
