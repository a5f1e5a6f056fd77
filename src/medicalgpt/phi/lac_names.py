"""Chinese names and places that the network found, sifted: what reads like a word of medicine is left out."""

from collections.abc import Sequence
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lac import Word, lac
from medicalgpt.phi.lists import words
from medicalgpt.phi.spans import Span
from medicalgpt.phi.zh_names import SURNAMES, WEAK, named, plausible, transliterated

_FAMILIAR: Final = "小老阿大"
LEAST: Final = 1.0
"""How much, on the mean of its characters, a name's label must lead the next (logits). Tuned on the tuning half only."""
LEAST_WEAK: Final = 2.0
"""The same for a surname that is mostly an ordinary word."""


def by_network(folded: Sequence[str]) -> list[list[Span]]:
    """Names, institutions and addresses of each text."""
    return [
        [span for word in found if (span := _span(text, word)) is not None]
        for text, found in zip(folded, lac().words(folded), strict=True)
    ]


def _span(text: str, word: Word) -> Span | None:
    value = text[word.start : word.end].strip()
    if word.tag == "PER" and _name(value, word.sure):
        start = text.index(value, word.start)
        return Span(start, start + len(value), Kind.NAME, "lac", 0.75)
    return None


def _name(value: str, sure: float) -> bool:
    if transliterated(value):
        return True
    if len(value) in (2, 3) and value[0] in _FAMILIAR and value[1] in SURNAMES and plausible(value[1:]):
        return sure >= LEAST
    least = LEAST_WEAK if value[:1] in WEAK else LEAST
    return named(value) and sure >= least and value not in words("zh/not_names")
