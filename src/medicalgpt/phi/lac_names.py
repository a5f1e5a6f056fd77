"""Chinese names and institutions by the network, sifted: what reads like a word of medicine is left out.

The network's own answer misses names that it cuts in two or takes for a verb. So besides it, every place where a surname of the list
stands is asked: how far behind the best labels would a name be here? Blanks and marks around it, and words that announce a name, allow
it to be further behind. All limits were set on the tuning half of benchmarks/phi.py.
"""

import re
from collections.abc import Iterator, Sequence, Set
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lac import Reading, Word, lac
from medicalgpt.phi.lists import words
from medicalgpt.phi.spans import Span
from medicalgpt.phi.zh_names import (
    ANNOUNCED,
    CALLED,
    GOES_ON,
    NOT_IN_GIVEN,
    NOT_NAMES,
    ROLE,
    SURNAMES,
    TITLES,
    WEAK,
    classical,
    named,
    plausible,
    transliterated,
)
from medicalgpt.phi.zh_places import institution

_FAMILIAR: Final = "小老阿大"
_HAN: Final = re.compile(r"[\u3400-\u9fff]+")
_TITLE: Final = re.compile(rf"(?:{TITLES})$")
_BEFORE: Final = re.compile(
    rf"{ANNOUNCED.pattern}|(?:\d床|[今昨][天日]|孩子|我是|[给給和同]|建[议議]|[询詢][问問]|同意|接到|[给給由经經][予由]?|一早|[代替]其[母父妻夫子女])$"
)
_CALLED: Final = re.compile(TITLES)
_INSIDE: Final = words("zh/inside_words")
_NEVER: Final = NOT_IN_GIVEN | frozenset("由其自")
_SINGLE: Final = "".join(name for name in SURNAMES if len(name) == 1)
_DOUBLE: Final = "|".join(name for name in SURNAMES if len(name) == 2)
_BEGINS: Final = re.compile(rf"(?:{_DOUBLE})|[{_SINGLE}]")
LEAST: Final = {False: 0.3, True: 0.8}
"""How much the labels of a name that the network found lead on average, for a surname and for one that is mostly a word."""
CERTAIN: Final = 3.0
"""From here on, a name may begin with a word of the shipped list: 文静雯."""
BORDERED: Final = 1.5
"""The same between a border or a word that announces a name and a border."""
BEHIND: Final = {(False, 1): 1.0, (False, 2): 2.5, (True, 1): 0.3, (True, 2): 0.8}
"""How far behind a name may be on average, by whether its surname is mostly a word and by the characters of the given name."""
MARGIN: Final = {False: 1.0, True: 0.9}
"""What a border on the left or on the right adds to that."""
TOLD: Final = 0.9
"""What a word on the left that announces a name adds to its border."""
KNOWN: Final = 3.0
"""From this lead on, the network knows a word of another kind when it sees one."""
ROLE_BEHIND: Final = 10.5
"""The same for two or three characters between a word such as 家长 and a border, whatever the surname."""


def by_network(folded: Sequence[str]) -> list[list[Span]]:
    """Names and institutions of each text."""
    return [list(_spans(text, reading)) for text, reading in zip(folded, lac().read(folded), strict=True)]


def _spans(text: str, reading: Reading) -> Iterator[Span]:
    old = classical(text)
    for word in reading.words:
        yield from _of_word(text, word, old)
    if not old:
        known = {(w.start, w.end) for w in reading.words if w.tag != "PER" and w.sure >= KNOWN}
        for match in _BEGINS.finditer(text):
            yield from _of_surname(text, reading, match, known)
        for match in ROLE.finditer(text):
            yield from _of_role(text, reading, match.end(), known)


def _of_word(text: str, word: Word, old: bool) -> Iterator[Span]:
    """A word that the network calls a name or an institution."""
    value = _TITLE.sub("", text[word.start : word.end].strip())
    if value and word.tag in ("PER", "ORG"):
        start = text.index(value, word.start)
        end = start + len(value)
        unsure = _within_word(text, start) and (word.sure < CERTAIN or value[0] not in WEAK)
        if word.tag == "PER" and (
            (not old and not unsure and (_name(value, word.sure) or _bordered(text, start, end, word.sure)))
            or _announced(text, start, end)
        ):
            yield Span(start, end, Kind.NAME, "lac", 0.75)
        if word.tag == "ORG" and institution(value):
            yield Span(start, end, Kind.ORGANIZATION, "lac", 0.65)


def _of_surname(text: str, reading: Reading, surname: re.Match[str], known: Set[tuple[int, int]]) -> Iterator[Span]:
    """The likeliest name that begins with a surname of the list, if the network finds it likely enough."""
    if _CALLED.match(text, surname.end()) or _within_word(text, surname.start()):
        return  # 刘主任: the words beside it decide
    start, weak = surname.start(), surname.group() in WEAK
    told = bool(_BEFORE.search(text, max(0, start - 8), start))
    best: tuple[float, int] | None = None
    for given in (1, 2):
        end = surname.end() + given
        if (
            not _HAN.fullmatch(text[start:end])
            or end > len(text)
            or not plausible(text[start:end])
            or (start, end) in known
        ):
            continue
        mean, most = reading.cost(start, end)
        borders = _begins(text, start) + bool(GOES_ON.match(text, end))
        limit = BEHIND[weak, given] + MARGIN[weak] * borders + 2.0 * (len(surname.group()) == 2) + TOLD * told
        if mean < limit and most < 2 * limit + 1.5 and (best is None or mean - limit < best[0]):
            best = mean - limit, end
    if best:
        yield Span(start, best[1], Kind.NAME, "lac:surname", 0.7)


def _begins(text: str, start: int) -> bool:
    """Whether a border stands on the left, or a word behind which names stand."""
    return start == 0 or not _HAN.match(text[start - 1]) or bool(_BEFORE.search(text, max(0, start - 8), start))


def _of_role(text: str, reading: Reading, start: int, known: Set[tuple[int, int]]) -> Iterator[Span]:
    """A name whose surname may be on no list, between a word that stands before names and a border."""
    for size in (2, 3, 4):
        end = start + size
        value = text[start:end]
        if len(value) == size and _HAN.fullmatch(value) and GOES_ON.match(text, end):
            possible = not _NEVER.intersection(value) and plausible(value) and (start, end) not in known
            if possible and reading.cost(start, end)[0] < ROLE_BEHIND - size:
                yield Span(start, end, Kind.NAME, "lac:role", 0.7)
            return


def _within_word(text: str, at: int) -> bool:
    """Whether a word of medicine goes on at a place, so that no name begins there: 牙周 in 牙周组织."""
    return any(
        text[begin:end] in _INSIDE
        for begin in range(max(0, at - 3), at)
        for end in range(at + 1, min(len(text), at + 4) + 1)
    )


def _name(value: str, sure: float) -> bool:
    if transliterated(value):
        return True
    if len(value) in (2, 3) and value[0] in _FAMILIAR and value[1] in SURNAMES and plausible(value[1:]):
        return sure >= LEAST[False]
    return (named(value) and sure >= LEAST[value[:1] in WEAK]) or (sure >= CERTAIN and _looks_named(value))


def _bordered(text: str, start: int, end: int, sure: float) -> bool:
    """Three characters between borders of which the network says that they are a name: whatever the surname, where no word of the
    shipped list begins it; whatever the word, where a surname of the list does."""
    value = text[start:end]
    if (
        sure < BORDERED
        or len(value) != 3
        or not _HAN.fullmatch(value)
        or not (_begins(text, start) and GOES_ON.match(text, end))
    ):
        return False
    return (plausible(value) and not _NEVER.intersection(value)) or _looks_named(value)


def _looks_named(value: str) -> bool:
    """A surname and two characters, of which the first two may make a word."""
    return (
        len(value) == 3 and value[0] in SURNAMES and value not in NOT_NAMES and not NOT_IN_GIVEN.intersection(value[1:])
    )


def _announced(text: str, start: int, end: int) -> bool:
    """A name of two to four characters whatever its surname, where the words beside it say that it is one."""
    value = text[start:end]
    if not (2 <= len(value) <= 4 and plausible(value)) or value[-1] in "氏某":
        return False
    return bool(ANNOUNCED.search(text, max(0, start - 8), start) or CALLED.match(text, end))
