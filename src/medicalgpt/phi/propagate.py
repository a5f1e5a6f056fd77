"""What was found once in a document is personal data wherever it stands in it: 王小明 and Smith are masked in every field."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lists import words
from medicalgpt.phi.spans import Span

SOURCE: Final = "propagated"
_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_PART: Final = re.compile(r"[^\W\d_][^\W\d_'-]{2,30}")
_NUMBERED: Final = frozenset(Kind) - {
    Kind.NAME,
    Kind.ADDRESS,
    Kind.ORGANIZATION,
    Kind.DATE,
    Kind.AGE,
    Kind.IP,
    Kind.URL,
}
LONGEST: Final = 64
"""Characters of a value that is looked for again; longer ones are addresses with all their parts."""
SURE: Final = 0.7
"""Finds below this are not looked for elsewhere."""


def propagated(fields: Sequence[str], spans: Sequence[Sequence[Span]]) -> list[list[Span]]:
    """Further places of the names, institutions and numbers of one document, in its folded fields."""
    wanted: dict[str, Kind] = {}
    for field, found in zip(fields, spans, strict=True):
        for span in found:
            if span.confidence >= SURE and span.end - span.start <= LONGEST:
                wanted.update((value, span.kind) for value in _looked_for(field[span.start : span.end], span.kind))
    return [list(_places(field, wanted)) for field in fields]


def _looked_for(value: str, kind: Kind) -> Iterable[str]:
    """What stands for a value elsewhere: itself, and for a Latin name its parts that are no common words."""
    if kind is Kind.NAME:
        if _HAN.search(value):
            return [value] if len(value) > 1 else []
        parts = [part for part in _PART.findall(value) if part.casefold() not in words("en/common_words")]
        return [value, *parts] if len(value) > 2 else parts
    if kind is Kind.ORGANIZATION:
        return [value] if len(value) > 3 else []
    if kind in _NUMBERED:
        return [value] if len(value) > 4 and any(c.isdigit() for c in value) else []
    return []


def _places(field: str, wanted: Mapping[str, Kind]) -> Iterable[Span]:
    """Where a field holds one of the values. One look a character and length, however many values there are."""
    by_first: dict[str, set[int]] = defaultdict(set)
    for value in wanted:
        by_first[value[0]].add(len(value))
    for at, char in enumerate(field):
        for length in by_first.get(char, ()):
            value = field[at : at + length]
            if value in wanted and _alone(field, at, at + length):
                yield Span(at, at + length, wanted[value], SOURCE, 0.6)


def _alone(field: str, start: int, end: int) -> bool:
    """Whether no Latin letter or digit goes on at either end, where the value itself begins or ends with one."""
    return not (_joined(field, start) or _joined(field, end))


def _joined(field: str, at: int) -> bool:
    if at == 0 or at >= len(field):
        return False
    left, right = field[at - 1], field[at]
    return left.isalnum() and right.isalnum() and not _HAN.match(left) and not _HAN.match(right)
