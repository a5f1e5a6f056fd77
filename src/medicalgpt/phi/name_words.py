"""Where in a text known words stand: everyday ones, words of medicine, words for people, titles.

All of it is looked up once a text; what asks about a possible name then reads one byte.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from medicalgpt.phi.lists import words
from medicalgpt.phi.zh_names import ADDRESSED, CALLED_WORDS, THEN

PERSONS: Final = frozenset(words("zh/person_words"))
INSIDE: Final = frozenset(words("zh/inside_words"))
EVERYDAY: Final = words("zh/everyday_words")
OFTEN: Final = frozenset(EVERYDAY[:25_000])
"""Everyday words that stand often in text; the others of the list are seldom."""
SELDOM: Final = (
    frozenset(EVERYDAY).union(words("zh/note_words"), words("zh/form_words"), words("keep/medicines")) - OFTEN
)
"""Those others, words of notes and forms, and medicines."""
_CALLED: Final = re.compile(
    rf"(?:{ADDRESSED}){THEN}|老[汉伯爷太奶]|[叔婶伯][叔婶伯]|[婶嫂]子|[舅姨][舅妈]|[大二三][叔伯婶爷妈姨舅]"
)
"""What people are called behind their surname: 刘婶子, 顾姐你."""
LONGEST: Final = 4
"""Characters of the words that are looked up; a few of medicine have one more."""


def _parts(text: str) -> list[list[str]]:
    """All runs of two characters of a text in order, all of three, and so on to one more than `LONGEST`."""
    return [[text[at : at + size] for at in range(len(text) - size + 1)] for size in range(2, LONGEST + 2)]


def _standing(parts: list[list[str]], known: frozenset[str], longest: int = LONGEST) -> Iterator[tuple[int, int]]:
    """Places of known words of two to `longest` characters; most lists of words have none in a text, which is asked first."""
    for size, runs in enumerate(parts[: longest - 1], 2):
        if found := known.intersection(runs):
            yield from ((at, at + size) for at, run in enumerate(runs) if run in found)


def _across(size: int, places: Iterable[tuple[int, int]]) -> bytearray:
    """At which places of `size` characters words stand across: 1 a place between two characters, or 0."""
    found = bytearray(size + 1)
    for start, end in places:
        found[start + 1 : end] = b"\x01" * (end - start - 1)
    return found


@dataclass(frozen=True, slots=True)
class Known:
    """Places of a text (0: before its first character) by what stands across or before them, 1 or 0 each; `everyday` is 2 where a
    word that stands often in text is across, 1 where a seldom one is; `called` is 1 where people are called by what begins there."""

    inside: bytearray
    people: bytearray
    everyday: bytearray
    title_begun: bytearray
    called: bytearray
    behind_person: bytearray

    @classmethod
    def of(cls, text: str, plain: str) -> Self:
        """What stands in a text; `plain`: its characters simplified."""
        size, parts = len(plain), _parts(plain)
        everyday = _across(size, _standing(parts, SELDOM))
        for start, end in _standing(parts, OFTEN):
            everyday[start + 1 : end] = b"\x02" * (end - start - 1)
        persons = list(_standing(parts, PERSONS))
        people, begun, behind = _across(size, persons), bytearray(size + 1), bytearray(size + 1)
        for start, end in _standing(parts, CALLED_WORDS):
            people[start + 1 : end] = b"\x01" * (end - start - 1)
            begun[start + 1] = 1
        for _, end in persons:
            behind[end] = 1
        inside = _across(size, _standing(parts if text == plain else _parts(text), INSIDE, LONGEST + 1))
        called = bytearray(len(plain) + 1)
        for match in _CALLED.finditer(plain):
            called[match.start()] = 1
        return cls(inside, people, everyday, begun, called, behind)


def sort(word: str) -> str | None:
    """How often an everyday word in simplified characters stands in text; None where it is none."""
    return "often" if word in OFTEN else "seldom" if word in SELDOM else None
