"""Remedies of Chinese medicine in pinyin, which look like names: Gui Zhi Tang, Liuwei Dihuang Wan, Dan Shen."""

import re
from typing import Final

from medicalgpt.phi.lists import words
from medicalgpt.phi.spans import Span

_HEADS: Final = tuple(entry.replace(" ", "") for entry in words("zh/remedies_latin"))
_HERBS: Final = frozenset(entry.replace(" ", "") for entry in words("zh/not_names_latin"))
_GIVEN_TOO: Final = words("zh/remedies_or_given_latin")
"""Heads that are given names as well where they are written as one: Wenjing Tang may be somebody, Wen Jing Tang is a broth."""
_SURNAMES: Final = frozenset({"tang", "wan", "yin", "gao", "ye", "jiao", "jian"})
"""Kinds of remedies that are surnames as well."""
_REMEDY: Final = re.compile(
    r"(?<![A-Za-z])(?:[A-Z][A-Za-z']{1,13}[ -]){1,7}"
    r"(?:Tang|Wan|San|Yin|Yin ?zi|Dan|Gao|Pian|Jiao|Jian|Ye|Ke ?[Ll]i|Jiao ?[Nn]ang|Decoction|Pills?|Powder|Tablets?|Capsules?|Granules?|Syrup|TANG|WAN|SAN|YIN|DAN|GAO|PIAN)(?![A-Za-z])"
)
"""Words with a capital each, the last of them what such a remedy is: a broth, pill, powder, drink, paste."""
_WORD: Final = re.compile(r"[A-Za-z']+")
_MARGIN: Final = 60
BESIDE: Final = 0.8
"""From this confidence on, a word beside two words says that they are somebody: 患者 Dan Shen."""


def remedy(folded: str, span: Span) -> bool:
    """Whether a find in Latin letters is (part of) a remedy.

    A remedy begins with a herb or the head of a formula of the list and ends with what it is; Wei Ming Tang is
    somebody. A herb alone is kept where no word tells of a person.
    """
    value = folded[span.start : span.end]
    if span.confidence < BESIDE and value.count(" ") == 1 and _plain(value) in _HERBS:
        return True
    low, high = max(0, span.start - _MARGIN), span.end + _MARGIN
    return any(
        start <= span.start and span.end <= match.end()
        for match in _REMEDY.finditer(folded, low, min(len(folded), high))
        if (start := _begins(match)) is not None
    )


def _plain(value: str) -> str:
    return re.sub(r"[ '-]", "", value).casefold()


def _begins(match: re.Match[str]) -> int | None:
    """Where the first word of a run stands with which a known remedy begins; None where none does."""
    places = [word.span() for word in _WORD.finditer(match.string, *match.span())]
    last = places[-1][0]
    surname = match.string[last : match.end()].casefold() in _SURNAMES
    for at, _ in places[:-1]:
        head = _plain(match.string[at:last])
        as_one = " " not in match.string[at:last].rstrip()
        if head.startswith(_HEADS) and not (surname and as_one and head in _GIVEN_TOO):
            return at
    return None
