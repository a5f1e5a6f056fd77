"""A second look at a document that tells of people: near a name or a number of somebody, less is asked of a day, a nickname, a workplace.

Rules for text of any kind ask that words beside a find speak for it, and nobody can list all such words. Where a document holds a person,
it is the other way round: what has the form of a day, a short name, an institution or a code stands for somebody unless something beside it
speaks against that. Text without anybody in it is not looked at, so these rules cost it neither time nor false finds.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final

from medicalgpt.phi import near_codes, near_days, near_names, near_places, near_units
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.prefilter import Prefilter
from medicalgpt.phi.rules import Rule, find_all
from medicalgpt.phi.spans import Span
from medicalgpt.phi.zh_classics import classical

Look = Callable[[str, Sequence[Span]], Iterator[Span]]
"""From a folded text and what was found in it to what is found besides."""
REACH: Final = 160
"""Characters around a person in which a day, an institution or a code is taken for that person's."""
SURE: Final = 0.68
"""How sure a find must be to tell of a person; codes that nothing explains and names that score low are not."""
_NOBODY: Final = frozenset({Kind.DATE, Kind.AGE, Kind.ADDRESS, Kind.ORGANIZATION, Kind.URL, Kind.IP})
"""Kinds that tell of nobody by themselves."""


class NearPeople:
    """What is looked for near people, by these languages and detectors; nothing where there is no Chinese among the languages."""

    def __init__(self, languages: Sequence[str], detectors: Sequence[str]) -> None:
        rules: list[Rule] = []
        self._looks: list[Look] = []
        if "zh" in languages and "patterns" in detectors:
            rules += [*near_days.RULES, *near_units.RULES, *near_codes.RULES, *near_places.RULES]
        if "zh" in languages and "names" in detectors:
            rules += near_names.RULES
            self._looks.append(near_names.beside_names)
        self._prefilter = Prefilter(rules) if rules else None

    def find(self, fields: Sequence[str], spans: Sequence[Sequence[Span]]) -> list[list[Span]]:
        """What stands near people in the folded fields of one document, which are read as lines of one text."""
        found: list[list[Span]] = [[] for _ in fields]
        starts = [0, *accumulate(len(field) + 1 for field in fields)]
        known = [_moved(span, at) for at, own in zip(starts, spans, strict=False) for span in own]
        people = [
            (span.start - REACH, span.end + REACH)
            for span in known
            if span.kind not in _NOBODY and span.confidence >= SURE
        ]
        if not people or not (self._prefilter or self._looks):
            return found
        text = "\n".join(fields)
        if classical(text):
            return found
        around = _joined(people)
        begins, ends = [start for start, _ in around], [end for _, end in around]
        (rules,) = self._prefilter.worth(text) if self._prefilter else [()]
        new = [*find_all(rules, text), *(span for look in self._looks for span in look(text, known))]
        for span in new:
            at = bisect_left(ends, span.end)
            if at == len(around) or span.start < begins[at]:
                continue
            number = bisect_left(starts, span.start + 1) - 1
            if span.end < starts[number + 1]:
                found[number].append(_moved(span, -starts[number]))
        return found


def _moved(span: Span, by: int) -> Span:
    return Span(span.start + by, span.end + by, span.kind, span.source, span.confidence) if by else span


def _joined(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places in order, those that overlap as one."""
    places.sort()
    cuts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(places)) if b[0] > a[1]), len(places)]
    return [(places[low][0], max(end for _, end in places[low:high])) for low, high in pairwise(cuts)]
