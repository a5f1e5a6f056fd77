"""Chinese names and places that the network found, sifted: what reads like a word of medicine is left out."""

import re
from collections.abc import Sequence
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lac import Word, lac
from medicalgpt.phi.spans import Span
from medicalgpt.phi.zh_names import (
    ANNOUNCED,
    CALLED,
    GOES_ON,
    NOT_IN_GIVEN,
    NOT_NAMES,
    ROLE,
    SURNAMES,
    WEAK,
    classical,
    named,
    plausible,
    transliterated,
)
from medicalgpt.phi.zh_places import institution

_FAMILIAR: Final = "小老阿大"
_HAN: Final = re.compile(r"[\u3400-\u9fff]+")
LEAST: Final = 1.0
"""How much, on the mean of its characters, a name's label must lead the next (logits). Tuned on the tuning half only."""
CERTAIN: Final = 3.0
"""From here on, a name may begin with a word of the shipped list."""
UNKNOWN: Final = 2.6
"""Below this lead, three or four characters that the network took for one word of another kind are a word it does not know; where the
words beside them announce a name, it is a name with a surname that is on no list."""
LEAST_WEAK: Final = 2.0
"""The same for a surname that is mostly an ordinary word."""


def by_network(folded: Sequence[str]) -> list[list[Span]]:
    """Names, institutions and addresses of each text."""
    return [
        [span for word in found if (span := _span(text, word, old)) is not None]
        for text, found in zip(folded, lac().words(folded), strict=True)
        for old in [classical(text)]
    ]


def _span(text: str, word: Word, old: bool) -> Span | None:
    value = text[word.start : word.end].strip()
    if not value:
        return None
    start = text.index(value, word.start)
    end = start + len(value)
    if word.tag == "PER" and ((not old and _name(value, word.sure)) or _announced(text, start, end)):
        return Span(start, end, Kind.NAME, "lac", 0.75)
    if word.tag not in ("PER", "TIME") and word.sure < UNKNOWN and _stranger(text, start, end):
        return Span(start, end, Kind.NAME, "lac:unknown word", 0.7)
    if word.tag == "ORG" and institution(value):
        return Span(start, end, Kind.ORGANIZATION, "lac", 0.65)
    return None


def _name(value: str, sure: float) -> bool:
    if transliterated(value):
        return True
    if len(value) in (2, 3) and value[0] in _FAMILIAR and value[1] in SURNAMES and plausible(value[1:]):
        return sure >= LEAST
    least = LEAST_WEAK if value[:1] in WEAK else LEAST
    return (named(value) and sure >= least) or (sure >= CERTAIN and _looks_named(value))


def _looks_named(value: str) -> bool:
    """A surname and two characters, of which the first two may make a word: 文静雯."""
    return (
        len(value) == 3 and value[0] in SURNAMES and value not in NOT_NAMES and not NOT_IN_GIVEN.intersection(value[1:])
    )


def _stranger(text: str, start: int, end: int) -> bool:
    value = text[start:end]
    if not (3 <= len(value) <= 4 and _HAN.fullmatch(value)) or NOT_IN_GIVEN.intersection(value) or not plausible(value):
        return False
    return bool(ROLE.search(text, max(0, start - 8), start) and GOES_ON.match(text, end))


def _announced(text: str, start: int, end: int) -> bool:
    """A name of two to four characters whatever its surname, where the words beside it say that it is one."""
    value = text[start:end]
    if not (2 <= len(value) <= 4 and plausible(value)) or value[-1] in "氏某":
        return False
    return bool(ANNOUNCED.search(text, max(0, start - 8), start) or CALLED.match(text, end))
