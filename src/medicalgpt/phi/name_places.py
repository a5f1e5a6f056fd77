"""Where in a text a Chinese name may stand, and what is known of the places around it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from medicalgpt.phi.lac import Reading, Word
from medicalgpt.phi.lists import words
from medicalgpt.phi.name_weights import PEOPLES
from medicalgpt.phi.name_words import PERSONS, Known
from medicalgpt.phi.zh_names import ANNOUNCED, CALLED_WORDS, NOT_NAMES, ROLE, SURNAMES

_HAN: Final = re.compile(r"[\u3400-\u9fff]")
PAIRS: Final = frozenset(name for name in SURNAMES if len(name) == 2)
CEILING: Final = 6.0
"""Names further behind on average in the network's reading are not weighed."""
TOLD_CEILING: Final = 9.0
"""The same behind a word that announces a name, and elsewhere where a name is likely (`_in_place`)."""
LOOSE_CEILING: Final = 9.0
"""The same near what is personal data for certain."""
NEAR: Final = 100
"""Characters within which that is."""
NEVER_FIRST: Final = frozenset("我你他她它您这哪谁的了吗呢啊吧嘛们不没很")
"""Characters that no name begins with."""
NEVER: Final = frozenset("某的了吗呢吧嘛您诉")
"""Characters that no name holds."""
LONGEST: Final = 7
VERBS: Final = words("zh/person_verbs")
BED: Final = re.compile(r"(?:\d{1,3}|[一二三四五六七八九十加]{1,3})[床号]:? ?")
FORMS: Final = words("zh/form_words")
_UNIT: Final = re.compile(r"\d ?[周年月日时分岁天]$")
"""A number and what it counts: 1 周前."""
_KIN: Final = re.compile("由其|其[父母妻夫子女兄弟姐妹]")
_TOLD: Final = re.compile(ANNOUNCED.pattern.removesuffix("$") + "|(?:姓?名|名字)[是叫为為]")


@dataclass(frozen=True, slots=True)
class Place:
    """A text, its characters simplified, what the network read, which word each character belongs to, where known words stand, and behind
    which places words announce a name, name a role or a bed."""

    text: str
    plain: str
    reading: Reading
    known: Known
    word_at: list[Word | None]
    told: frozenset[int]
    roles: frozenset[int]
    beds: frozenset[int]

    def announced(self, start: int) -> bool:
        """Whether words before a place announce a name or name a role."""
        return start in self.told or start in self.roles

    @classmethod
    def of(cls, text: str, reading: Reading) -> "Place":
        """What is known of a text."""
        word_at: list[Word | None] = [None] * len(text)
        for word in reading.words:
            word_at[word.start : word.end] = [word] * (word.end - word.start)
        told, roles, beds = (
            frozenset(match.end() for match in form.finditer(of))
            for form, of in ((_TOLD, text), (ROLE, text), (BED, reading.plain))
        )
        return cls(text, reading.plain, reading, Known.of(text, reading.plain), word_at, told, roles, beds)


def near(text: str, places: Iterable[tuple[int, int]]) -> bytearray:
    """Which characters of a text are near some places: 1 a character, or 0."""
    found = bytearray(len(text))
    for start, end in places:
        low, high = max(0, start - NEAR), min(len(text), end + NEAR)
        found[low:high] = b"\x01" * (high - low)
    return found


def candidates(place: Place, certain: Iterable[tuple[int, int]] = ()) -> Iterator[tuple[int, int]]:
    """Two or three characters, four with a surname of two, more that names of other peoples are written with, and every word that the
    network calls a name. More of them near `certain`: where personal data stands for certain."""
    text, known = place.plain, place.known
    read = {(w.start, w.end) for w in place.reading.words if w.tag == "PER" and 2 <= w.end - w.start <= LONGEST}
    wide = near(text, certain)
    for start, begins in enumerate(place.reading.begins):
        loose = wide[start]
        if begins >= LOOSE_CEILING * 3 or text[start] in NEVER_FIRST or not _HAN.match(text[start]):
            continue
        told = place.announced(start)
        if loose:
            ceiling = LOOSE_CEILING
        else:
            ceiling = TOLD_CEILING if told or _in_place(place, start) else CEILING
        if begins >= ceiling * 3 or _UNIT.search(text, max(0, start - 2), start + 1):
            continue
        if known.inside[start] and not (told or (loose and known.behind_person[start])):
            continue
        if loose and (known.people[start] or _time(place, start)):
            continue
        if known.called[start + 1]:
            continue
        for end in _ends(place, start, ceiling):
            value = text[start:end]
            if value not in FORMS and value not in PERSONS and value not in CALLED_WORDS:
                read.discard((start, end))
                yield start, end
    for start, end in sorted(read):
        value = text[start:end]
        possible = all(_HAN.match(char) and char not in NEVER for char in value) and value not in FORMS
        if (
            possible
            and not known.called[start + 1]
            and not _no_name(place.text[start:end])
            and (wide[start] or not known.inside[start])
        ):
            yield start, end


def _ends(place: Place, start: int, ceiling: float) -> Iterator[int]:
    """Where a name that begins at `start` may end."""
    text, behind, foreign = place.plain, place.reading.begins[start], place.plain[start] in PEOPLES
    for end in range(start + 2, min(len(text), start + LONGEST) + 1):
        last, size = text[end - 1], end - start
        if not _HAN.match(last) or last in NEVER:
            return
        behind += place.reading.goes_on[end - 1]
        foreign = foreign and last in PEOPLES
        if size > 3 and not foreign and (size > 4 or text[start : start + 2] not in PAIRS):
            return
        if behind < ceiling * size and not place.known.title_begun[end] and not _no_name(place.text[start:end]):
            yield end


def _in_place(place: Place, start: int) -> bool:
    """Whether a place is one for a name: behind a bed or a word for people or for what is done with people, or, if a surname stands
    there, behind a mark."""
    text = place.plain
    if start in place.beds or text[max(0, start - 2) : start] in VERBS:
        return True
    if start == 0 or not _HAN.match(text[start - 1]):
        return text[start] in SURNAMES or text[start : start + 2] in PAIRS
    return bool(place.known.behind_person[start])


def _time(place: Place, start: int) -> bool:
    """Whether the network reads a time of two characters or more there: 今晨."""
    word = place.word_at[start]
    return word is not None and word.tag == "TIME" and word.end - word.start > 1 and word.sure > 1


def _no_name(value: str) -> bool:
    """Whether a run of characters is something else for certain: a word of the shipped list, 唐氏, 刘主任, 由其."""
    return (
        value[1] == "氏"
        or (len(value) > 2 and value in NOT_NAMES)
        or value[1:] in CALLED_WORDS
        or value[1:] in FORMS
        or ("其" in value and bool(_KIN.search(value)))
    )
