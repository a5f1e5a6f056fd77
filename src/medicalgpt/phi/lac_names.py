"""Chinese names and places that the network found, sifted: what reads like a word of medicine is left out."""

from collections.abc import Sequence
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lac import Word, lac
from medicalgpt.phi.spans import Span
from medicalgpt.phi.zh_names import ANNOUNCED, CALLED, SURNAMES, WEAK, classical, named, plausible, transliterated
from medicalgpt.phi.zh_places import institution

_FAMILIAR: Final = "小老阿大"
LEAST: Final = 1.0
"""How much, on the mean of its characters, a name's label must lead the next (logits). Tuned on the tuning half only."""
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
    if word.tag == "ORG" and institution(value):
        return Span(start, end, Kind.ORGANIZATION, "lac", 0.65)
    return None


def _name(value: str, sure: float) -> bool:
    if transliterated(value):
        return True
    if len(value) in (2, 3) and value[0] in _FAMILIAR and value[1] in SURNAMES and plausible(value[1:]):
        return sure >= LEAST
    least = LEAST_WEAK if value[:1] in WEAK else LEAST
    return named(value) and sure >= least


def _announced(text: str, start: int, end: int) -> bool:
    """A name of two to four characters whatever its surname, where the words beside it say that it is one."""
    value = text[start:end]
    if not (2 <= len(value) <= 4 and plausible(value)) or value[-1] in "氏某":
        return False
    return bool(ANNOUNCED.search(text, max(0, start - 8), start) or CALLED.match(text, end))
