"""Where in a text known words stand: everyday ones, words of medicine, words for people, titles.

All of it is looked up once a text; what asks about a possible name then reads one byte.
"""

import re
from collections.abc import Container, Iterator
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


def standing(text: str, known: Container[str], longest: int = LONGEST) -> Iterator[tuple[int, int]]:
    """Places of known words of two to `longest` characters."""
    for size in range(2, longest + 1):
        for at in range(len(text) - size + 1):
            if text[at : at + size] in known:
                yield at, at + size


def across(text: str, known: Container[str], longest: int = LONGEST) -> bytearray:
    """At which places known words stand across: 1 a place between two characters, or 0."""
    found = bytearray(len(text) + 1)
    for start, end in standing(text, known, longest):
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
        everyday = across(plain, SELDOM)
        for start, end in standing(plain, OFTEN):
            everyday[start + 1 : end] = b"\x02" * (end - start - 1)
        people, begun, behind = across(plain, PERSONS), bytearray(len(plain) + 1), bytearray(len(plain) + 1)
        for start, end in standing(plain, CALLED_WORDS):
            people[start + 1 : end] = b"\x01" * (end - start - 1)
            begun[start + 1] = 1
        for _, end in standing(plain, PERSONS):
            behind[end] = 1
        called = bytearray(len(plain) + 1)
        for match in _CALLED.finditer(plain):
            called[match.start()] = 1
        return cls(across(text, INSIDE, LONGEST + 1), people, everyday, begun, called, behind)


def sort(word: str) -> str | None:
    """How often an everyday word in simplified characters stands in text; None where it is none."""
    return "often" if word in OFTEN else "seldom" if word in SELDOM else None
