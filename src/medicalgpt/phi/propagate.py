"""What was found once in a document is personal data wherever it stands in it: 王小明 and Smith are masked in every field."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final

from medicalgpt.phi.fold import fold
from medicalgpt.phi.keep import kept
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lists import words
from medicalgpt.phi.name_weights import GIVEN
from medicalgpt.phi.near_people import NearPeople
from medicalgpt.phi.spans import Span, merged, tidied
from medicalgpt.phi.zh_called import called, familiar, somebody, surname_of

SOURCE: Final = "propagated"
_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_PART: Final = re.compile(r"[^\W\d_][^\W\d_'-]{2,30}")
_BY_CHANCE: Final = frozenset({Kind.DATE, Kind.AGE, Kind.ADDRESS, Kind.ORGANIZATION})
"""Kinds whose values may stand somewhere without telling of the same thing."""
_WORDLIKE: Final = _BY_CHANCE | {Kind.NAME, Kind.URL, Kind.OTHER_ID}
"""Kinds that are no number of a person for certain."""
LONGEST: Final = 64
"""Characters of a value that is looked for again; longer ones are addresses with all their parts."""
SURE: Final = 0.7
"""Finds below this are looked for elsewhere only if their value tells."""
LEAST_HAN: Final = 3
LEAST_NAME: Final = 4
LEAST: Final = 5
"""Characters of a value that stands nowhere by chance: one all Chinese, another name, a number."""
LONG: Final = 8
"""The same within a word or a longer number; a Chinese value knows no words around it."""


def whole(fields: Sequence[str], spans: Sequence[Iterable[Span]], near: NearPeople | None = None) -> list[list[Span]]:
    """The spans of one document's folded fields, without what is never masked and without overlaps, what is found `near` people
    besides, and every further place where a found value stands: what one field tells is found in all of them."""
    own = [final(field, found) for field, found in zip(fields, spans, strict=True)]
    if near:
        besides = near.find(fields, own)
        own = [
            final(field, [*found, *new]) if new else found
            for field, found, new in zip(fields, own, besides, strict=True)
        ]
    further = propagated(fields, own)
    return [
        final(field, [*found, *new]) if new else found for field, found, new in zip(fields, own, further, strict=True)
    ]


def final(folded: str, spans: Iterable[Span]) -> list[Span]:
    """Without what is never masked, and without overlaps."""
    return tidied(folded, merged(span for span in spans if kept(folded, span) is None))


def propagated(fields: Sequence[str], spans: Sequence[Sequence[Span]]) -> list[list[Span]]:
    """Further places of the names, institutions and numbers of one document, in its folded fields, and of surnames before a title."""
    wanted: dict[str, Kind] = {}
    for field, found in zip(fields, spans, strict=True):
        for span in found:
            value = field[span.start : span.end]
            if len(value) <= LONGEST and (span.confidence >= SURE or tells(span.kind, value)):
                wanted.update((one, span.kind) for one in _looked_for(value, span.kind))
    surnames = {
        surname_of(value)
        for value, kind in wanted.items()
        if kind is Kind.NAME and 1 < len(value) < 5 and _all_han(value)
    }
    full = [value for value, kind in wanted.items() if kind is Kind.NAME and 2 < len(value) < 5 and _all_han(value)]
    lasts = {char for value in full for char in (surname_of(value), value[-1])}
    numbered = any(span.kind not in _WORDLIKE for found in spans for span in found)
    return [
        [
            *_places(field, wanted),
            *(
                Span(start, end, Kind.NAME, SOURCE, 0.6)
                for start, end in chain(
                    called(field, surnames) if surnames else (),
                    familiar(field, lasts) if lasts else (),
                    somebody(field) if numbered else (),
                )
            ),
        ]
        for field in fields
    ]


def standing(fields: Sequence[str], values: Iterable[tuple[Kind, str]]) -> set[Kind]:
    """Kinds of which a value that tells stands in the fields: in rewritten ones, what should have gone."""
    wanted = {fold(value): kind for kind, value in values if tells(kind, value)}
    found = ((field, span) for field in map(fold, fields) for span in _places(field, wanted))
    return {span.kind for field, span in found if kept(field, span) is None}


def tells(kind: Kind, value: str) -> bool:
    """Whether a value stands nowhere by chance."""
    least = LEAST_HAN if _all_han(value) else LEAST_NAME if kind is Kind.NAME else LEAST
    return kind not in _BY_CHANCE and len(value) >= least


def _all_han(value: str) -> bool:
    return all(_HAN.match(char) for char in value)


def _looked_for(value: str, kind: Kind) -> Iterable[str]:
    """What stands for a value elsewhere: itself, and for a Latin name its parts that are no common words."""
    if kind is Kind.NAME:
        if _HAN.search(value):
            return [value, *_given(value)] if len(value) > 1 else []
        parts = [part for part in _PART.findall(value) if part.casefold() not in words("en/common_words")]
        return [value, *parts] if len(value) > 2 else parts
    if kind is Kind.ORGANIZATION:
        return [value] if len(value) > 3 else []
    return [value] if tells(kind, value) else []


GIVEN_LEAST: Final = 1.5
"""By how much each character of a given name must stand oftener in given names than in text, for it to be looked for alone."""


def _given(name: str) -> list[str]:
    """The given name of a full one, if it hardly stands for anything else: 晓燕 of 周晓燕."""
    surname = 2 if name[:2] in words("zh/surnames") and len(name) == 4 else 1
    given = name[surname:]
    known = len(given) == 2 and len(name) == surname + 2 and name[:surname] in words("zh/surnames")
    return [given] if known and all(GIVEN.get(char, 0.0) >= GIVEN_LEAST for char in given) else []


def _places(field: str, wanted: Mapping[str, Kind]) -> Iterable[Span]:
    """Where a field holds one of the values, for itself or, if it is long or Chinese, within a word.

    One look a character and length, however many values there are.
    """
    if not wanted:
        return
    by_first: dict[str, set[int]] = defaultdict(set)
    for value in wanted:
        by_first[value[0]].add(len(value))
    for at, char in enumerate(field):
        for length in by_first.get(char, ()):
            value = field[at : at + length]
            if len(value) == length and value in wanted and (length >= LONG or _alone(field, at, at + length)):
                yield Span(at, at + length, wanted[value], SOURCE, 0.6)


def _alone(field: str, start: int, end: int) -> bool:
    """Whether no Latin letter or digit goes on at either end, where the value itself begins or ends with one."""
    return not (_joined(field, start) or _joined(field, end))


def _joined(field: str, at: int) -> bool:
    if at == 0 or at >= len(field):
        return False
    left, right = field[at - 1], field[at]
    return left.isalnum() and right.isalnum() and not _HAN.match(left) and not _HAN.match(right)
