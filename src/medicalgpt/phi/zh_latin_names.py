"""Names in Latin letters among Chinese, by the shape of two to four words: SO Ka Po, Hsu Mei-ling, Peter CHAN Tai Man, Jenny Fok.

A list of surnames alone would miss what it lacks and take syllables of places and medicines for names; here surname, syllables, an English
given name and how each is written speak for one another.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.latin_syllables import ENGLISH_GIVEN, MEDICINES, RARE, SURNAMES, hyphenated, run_on, syllable
from medicalgpt.phi.lists import words
from medicalgpt.phi.spans import Span

_COMMON: Final = frozenset(words("en/common_words"))
_ABROAD: Final = frozenset(words("zh/names_abroad")) | ENGLISH_GIVEN
_PLACES: Final = frozenset(words("zh/places_latin"))
_MEDICINES: Final = MEDICINES.union(["wan", "gao"])
_WORDS_TOO: Final = frozenset(words("zh/words_latin"))
"""Surnames and syllables that are English words, too."""
_NOBODY: Final = frozenset(words("zh/people_latin"))
_VIETNAM: Final = frozenset(words("zh/vietnam_latin"))
"""Surnames of Vietnam that are words or syllables of others, before two names of the list of names from elsewhere."""
_TOKEN: Final = r"[A-Z][A-Za-zü']{0,14}(?:-[A-Za-zü']{1,10}){0,2}"
_RUN: Final = re.compile(rf"(?<![\w'.@/&-]){_TOKEN}(?:(?:,? |,|\^){_TOKEN}){{1,7}}(?![\w@&-])")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_EACH: Final = re.compile(_TOKEN)
LONGEST: Final = 4


def by_shape(text: str) -> list[Span]:
    """Such names in a text in which ideographs are marks (`latin`)."""
    return [
        Span(start, end, Kind.NAME, "shape:name in letters", 0.74)
        for run in _RUN.finditer(text)
        for start, end in _of_run(text, run)
    ]


def _of_run(text: str, run: re.Match[str]) -> Iterator[tuple[int, int]]:
    tokens = [match.span() for match in _EACH.finditer(text, *run.span())]
    at = 0
    while at < len(tokens) - 1:
        size, behind = (_longest([text[a:b] for a, b in tokens[i : i + LONGEST]]) for i in (at, at + 1))
        if size and not 2 == size < behind:  # Mrs Chan Tai Man, whatever word stands before
            yield tokens[at][0], tokens[at + size - 1][1]
            at += size
        else:
            at += 1


def _longest(tokens: Sequence[str]) -> int:
    """How many words, two at least, are a name from the first on; 0 where none are."""
    return next((size for size in range(len(tokens), 1, -1) if _name(tokens[:size])), 0)


def _name(tokens: Sequence[str]) -> bool:
    """Whether words are a name and nothing else."""
    low = [_CAMEL.sub("-", token).casefold().replace("'", "") for token in tokens]
    if " ".join(low) in _PLACES or " ".join(low[-2:]) in _PLACES or low[-1] in _MEDICINES or low[0] in _NOBODY:
        return False
    if _abroad(tokens, low):
        return True
    for given in (_first(low), _last(low)):  # Peter CHAN Tai Man, CHAN Tai Man Peter
        if given is not None and _chinese(list(tokens[given]), low[given]):
            return True
    return _chinese(list(tokens), low) or (len(tokens) == 2 and _mixed(tokens, low))


def _first(low: Sequence[str]) -> slice | None:
    return slice(1, None) if len(low) > 2 and low[0] in ENGLISH_GIVEN else None


def _last(low: Sequence[str]) -> slice | None:
    return slice(0, -1) if len(low) > 2 and low[-1] in ENGLISH_GIVEN else None


def _chinese(tokens: list[str], low: Sequence[str]) -> bool:
    """A surname before or behind one or two words of syllables."""
    pair = "".join(low[:2])
    if len(low) > 3:  # AU YEUNG Ka Po, also with a hyphen
        return pair in RARE and _given(tokens[2:], low[2:], True)
    if len(low) == 3 and pair in ("auyeung", "ouyeung", "ouyang", "szeto", "seto", "situ", "sima", "shangguan"):
        return _given(tokens[2:], low[2:], True)
    return _whose(tokens[0], low[0], tokens[1:], low[1:]) or _whose(tokens[-1], low[-1], tokens[:-1], low[:-1])


def _whose(family: str, low: str, tokens: list[str], given: Sequence[str]) -> bool:
    """Whether a word is a surname and others are a given name of its bearer: the surname alone in capitals says most, then a hyphen."""
    plain = low.replace("-", "")
    capitals = family.isupper() and len(family) > 1 and not any(token.isupper() for token in tokens)
    if capitals and (plain in RARE or (hyphenated(low) if "-" in low else syllable(low))):
        return _given(tokens, given, plain in RARE)
    return plain in RARE and len(tokens) == 1 and hyphenated(given[0])


def _given(tokens: list[str], low: Sequence[str], listed: bool) -> bool:
    """One word of two syllables, with a hyphen or without, or two of one; not all of them words of another sort."""
    if any(len(token) == 1 for token in tokens):
        return False
    if len(low) == 1:
        return hyphenated(low[0]) or (listed and run_on(low[0]) and low[0] not in _COMMON)
    return len(low) == 2 and all(map(syllable, low)) and not all(one in _COMMON or one in _WORDS_TOO for one in low)


def _mixed(tokens: Sequence[str], low: Sequence[str]) -> bool:
    """An English given name before a Chinese surname; one of no list only before a surname that is no word and no syllable of many."""
    first, last = low
    if first in SURNAMES and last in ENGLISH_GIVEN:  # LAU Amy
        return (
            first not in ("mo", "ho")
            and first not in _WORDS_TOO
            and first not in _COMMON
            and first not in ENGLISH_GIVEN
        )
    if last not in SURNAMES and (last not in RARE or first not in ENGLISH_GIVEN):
        return False
    if first in ENGLISH_GIVEN:
        return first not in _COMMON or last not in _WORDS_TOO
    strange = len(first) > 3 and first.isalpha() and first not in _COMMON and not syllable(first) and not run_on(first)
    written = tokens[0][1:].islower() and (tokens[1].isupper() or tokens[1][1:].islower())
    return strange and written and last in SURNAMES and last not in _WORDS_TOO and last not in _COMMON


def _abroad(tokens: Sequence[str], low: Sequence[str]) -> bool:
    """Names from elsewhere: two at least of a list, and no common word."""
    if low[0] in _VIETNAM and len(low) > 2 and all(one in _ABROAD for one in low[1:]):
        return True
    known = sum(one in _ABROAD for one in low)
    odd = any(one in _COMMON and one not in _ABROAD for one in low) or len({token.isupper() for token in tokens}) > 1
    return not odd and known >= 2 and known >= len(low) - 1 and low[-1] not in _WORDS_TOO
