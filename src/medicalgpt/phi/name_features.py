"""What speaks for and against a name at a place: its surname, its characters, the network's reading, and what stands beside it.

Each feature is a number by a name; `name_score` weighs them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from medicalgpt.phi.lac import Word
from medicalgpt.phi.name_places import PAIRS, VERBS, Place
from medicalgpt.phi.name_weights import GIVEN, PEOPLES
from medicalgpt.phi.name_words import PERSONS, sort
from medicalgpt.phi.zh_names import CALLED, GOES_ON, NOT_IN_GIVEN, NOT_NAMES, SURNAMES, TITLES, WEAK, plausible

COMMON: Final = frozenset(SURNAMES[:200]) - frozenset(WEAK)
FAR: Final = 12.0
"""Where costs are cut: further behind says no more."""
SURE: Final = 6.0
"""The same for how much a word's labels lead."""
AFTER: Final = re.compile(
    "[因来就自诉述代说和与及在到去的是已曾有无未入出住既感突被拟行查给开做又也将从向对要会可能陪由接进检建嘱审写记看打都把让叫问答称拒需随告签交核巡昨今明上下当每夜晚早仍再静换拔输测办听想才先很正刚带送扶抱背领取付缴借还用服停吃喝醒痛摔跌坐躺站走跑怕"
    "|表示|报告|医嘱|同意|负责|确认|补充|反映|提供|主刀|值班|查房|等[。,;]|处|神志|病情|一般|生命|精神|体温|血压|术[前后]|口服|家[里中属长]|本人|夫妇|夫妻|两口|全家|一家|家人"
    "|敬[上启]|谨[上启]|协助|汇报|指出|认为|强调|提醒|解释|交[代班]|发现|通知|转[告院科诊交]|陪[同护伴]|护送|照[顾料]|看[护望]|探[视望]|宣教|指导|评估|评定|复[查诊核]|待[查产排]|拆线|否认|承认|要求|申请|咨询|投诉|感谢|委托|领[取走]|补[办打缴]|预约|挂号|报到|候诊|卫教|过敏|怀孕|分娩|发[烧热病作]|受伤|晕倒|去世|病逝|死亡|康复|好转|痊愈"
)
"""What often follows a name without a mark: verbs, times, what a note says first of a patient."""
BEFORE: Final = frozenset(
    "请找由经给和是问谢让跟对被见约挂好的及与为叫向从科室位姓看陪遵替帮代嘱把将听托据扶兹母父妻夫弟兄交送接喊劝催派随称救"
)
PARTICLES: Final = frozenset(
    "时后被本别同话予拟需待应已先再又也均各该此因经由将与和及或于在为是有无未可能会要行做给让叫请把从以而但仍虽若如则且并即所之其着过向对把跟"
)
"""Characters of grammar, which begin much that is no name."""
KIN: Final = re.compile("之?[父母妻夫子女兄弟姐妹孙][^女科童宫孩婴亲病乳宝法体]")
COUNT: Final = re.compile(r"[\d一二三四五六七八九十第首][\u3400-\u9fff]$")
"""A number and what it counts: 2台, 3号."""
KEY: Final = re.compile(r"([\u3400-\u9fff]{1,8}|[A-Za-z_]{1,16})[\"'】\])]? ?[:=|/(\[【{<>-]{1,2} ?[\"'(\[【]?$")
"""A key and what stands between it and its value."""
_PERSON_ENDS: Final = frozenset("人者员師师长方主属友生父母妻夫子女儿名姓字士工户客伴亲公婆爷奶叔姨舅嫂哥姐弟妹医护签")
_ENGLISH_KEYS: Final = re.compile(
    r"(?:name|patient|pt|user|doctor|dr|physician|nurse|by|contact|operator|author|reporter|owner|staff|person|client|sender|receiver|from|to|cc|attn|signed|assignee|applicant|insured|kin)$",
    re.IGNORECASE,
)
_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_TITLE: Final = re.compile(f"(?:副|主治|主管|主诊|经治|住院|值班|责任|实习|进修|首席)?(?:{TITLES})")
_MARKS: Final = {
    **{"": "edge", "\n": "edge", "\t": "edge", " ": "blank", ":": "colon", ",": "comma", "、": "list", "。": "stop"},
    **{"(": "open", ")": "close"},
}
_KNOTS: Final = (-2.0, 0.0, 2.0, 4.0)
_COST_KNOTS: Final = (0.5, 1.5, 3.0, 4.5)
"""Where the weight of a number may change."""
_KNOTS_OF: Final = {
    (sort, of): tuple((knot, f"{sort} {of} over {knot:g}") for knot in _KNOTS)
    for sort in ("given", "peoples")
    for of in ("mean", "least")
}
_KNOTS_OF_COST: Final = tuple((knot, f"cost over {knot:g}") for knot in _COST_KNOTS)
_NAMES_OF: Final = {(sort, of): f"{sort} {of}" for sort in ("given", "peoples") for of in ("mean", "least")}
"""Names of features that are asked for often, put together once."""


def family(plain: str, start: int, end: int) -> tuple[str, int]:
    """What the surname of a possible name is, and its characters: common, listed, weak (a word, too), a pair of characters, none that we
    know, or a name of peoples without a surname."""
    size = end - start
    if size in (3, 4) and plain[start : start + 2] in PAIRS:
        return "pair", 2
    first = plain[start]
    known = first in SURNAMES and first not in WEAK
    if size > 3 or (size == 3 and not known and all(char in PEOPLES for char in plain[start:end])):
        return "peoples", 0
    if first in COMMON:
        return "common", 1
    if first in WEAK:
        return "weak", 1
    return ("listed" if known else "none"), 1


@dataclass(frozen=True, slots=True)
class Edge:
    """What stands at one end of possible names and speaks for or against all of them: its sort and its features. `flag`: before a name,
    words announce it; behind one, what often follows a name does."""

    sort: str
    flag: bool
    features: tuple[tuple[str, float], ...]

    @property
    def border(self) -> bool:
        """Whether no word stands there."""
        return not self.sort.startswith("word")


def left(place: Place, start: int) -> Edge:
    """The edge of names that begin at a place."""
    sort, told = _left(place, start)
    found = [("left " + sort, 1.0), ("cost begins", min(place.reading.begins[start], FAR))]
    if not sort.startswith(("word", "role")):
        found += ((name, 1.0) for name in _key(place, start))
    if sort.startswith("word") and place.plain[start - 1] in BEFORE:
        found.append(("before", 1.0))
    holds = (
        ("told", told),
        ("behind a person", place.known.behind_person[start]),
        ("behind a verb for people", place.plain[max(0, start - 2) : start] in VERBS),
        ("behind a bed", start in place.beds),
        ("behind a count", COUNT.search(place.plain, max(0, start - 2), start)),
        ("within a word", place.known.inside[start]),
        ("cuts a seldom word at its start", place.known.everyday[start] == 1),
        ("cuts a word of every day at its start", place.known.everyday[start] == 2),
    )
    return Edge(sort, told, (*found, *((name, 1.0) for name, holds_here in holds if holds_here)))


def right(place: Place, end: int) -> Edge:
    """The edge of names that end at a place."""
    sort = _right(place, end)
    after = sort.startswith("word") and bool(AFTER.match(place.plain, end))
    found = [("right " + sort, 1.0)]
    found.append(("cost goes on", min(place.reading.goes_on[end], FAR) if end < len(place.text) else FAR))
    holds = (
        ("after", after),
        ("before kin", KIN.match(place.plain, end)),
        ("cuts a seldom word at its end", place.known.everyday[end] == 1),
        ("cuts a word of every day at its end", place.known.everyday[end] == 2),
    )
    return Edge(sort, after, (*found, *((name, 1.0) for name, holds_here in holds if holds_here)))


def between(place: Place, start: int, end: int, before: Edge, behind: Edge) -> Iterator[tuple[str, float]]:
    """The features of a possible name that are not of its edges alone."""
    plain = place.plain[start:end]
    kind, surname = family(place.plain, start, end)
    borders = (before.border or before.flag) + behind.border
    yield from _of_kind(kind, end - start, borders)
    if before.border and behind.border and before.sort != "role":
        yield f"field {before.sort.partition(' ')[0]} {behind.sort}", 1.0
    if before.border and behind.flag:
        yield "begins a clause", 1.0
    if before.sort == "open" and behind.sort == "close":
        yield "in brackets", 1.0
    mean, most = place.reading.cost(start, end)
    cost = min(mean, FAR)
    yield f"cost between {borders}", cost
    yield f"cost of {kind}", cost
    yield "cost most", min(most, FAR)
    yield from _characters(plain, kind, surname)
    yield from _costs(place, start, end, kind, cost)
    yield from _words(place, start, end)
    yield from _everyday(plain, kind, surname)
    yield from _lists(place.text[start:end])


@cache
def _of_kind(kind: str, size: int, borders: int) -> tuple[tuple[str, float], ...]:
    return ("family " + kind, 1.0), (f"{kind} of {size}", 1.0), (f"{kind} between {borders}", 1.0)


def _key(place: Place, start: int) -> Iterator[str]:
    """What the key is of which this may be the value."""
    if not (match := KEY.search(place.plain, max(0, start - 22), start)):
        return
    key = match.group(1)
    if key[0].isascii():
        yield "key of a person" if _ENGLISH_KEYS.search(key) else "English key"
    elif any(key[-n:] in PERSONS for n in (2, 3, 4)):
        yield "key of a person"
    else:
        yield "key like a person's" if key[-1] in _PERSON_ENDS else "other key"


def _characters(name: str, kind: str, surname: int) -> Iterator[tuple[str, float]]:
    weights, sort = (GIVEN, "given") if surname else (PEOPLES, "peoples")
    each = [weights.get(char, weights["?"]) for char in name[surname:]]
    mean, least = sum(each) / len(each), min(each)
    for of, value in (("mean", mean), ("least", least)):
        yield _NAMES_OF[sort, of], value
        for knot, name_of_it in _KNOTS_OF[sort, of]:
            if value > knot:
                yield name_of_it, value - knot
    if surname:
        yield "never given", float(sum(char in NOT_IN_GIVEN for char in name[surname:]))
        yield f"{kind} given mean", mean
        yield f"{kind} given least", least
    if surname == 1:
        yield "surname in text", GIVEN.get(name[0], GIVEN["?"])


def _costs(place: Place, start: int, end: int, kind: str, mean: float) -> Iterator[tuple[str, float]]:
    """How far the network is from reading a name here."""
    yield "cost mean", mean
    if end - start == 3 and kind in ("none", "weak"):
        yield f"{kind} cost of the rest", min(place.reading.cost(start + 1, end)[0], FAR)
    for knot, name in _KNOTS_OF_COST:
        if mean > knot:
            yield name, mean - knot


def _everyday(name: str, kind: str, surname: int) -> Iterator[tuple[str, float]]:
    """Everyday words that a possible name is, begins or ends with."""
    size = len(name)
    if size < 5 and (often := sort(name)):
        yield f"{kind} of {size} {often} a word", 1.0
    particle = name[0] in PARTICLES
    if particle:
        yield "begins with a particle", 1.0
    if surname == 1 and size == 3:
        if often := sort(name[1:]):
            yield f"{kind} given {often} a word", 1.0
            if particle:
                yield "a particle and a word", 1.0
        if often := sort(name[:2]):
            yield f"{kind} begins as {often} a word", 1.0
    if not surname:
        parts = {name[:2], name[-2:], name[1:3]} if size > 2 else set()
        if any(sort(part) for part in parts):
            yield "peoples with a word", 1.0


def _words(place: Place, start: int, end: int) -> Iterator[tuple[str, float]]:
    """The network's words at this place: the name may cut one, be one, or end with one."""
    first, last = place.word_at[start], place.word_at[end - 1]
    if first is None or last is None:
        return
    for word, cut in ((first, first.start < start), (last, last.end > end)):
        if cut:
            yield "cuts a name" if word.tag == "PER" else "cuts a word", 1.0
            yield "cuts surely", min(word.sure, SURE)
    if (first.start, first.end) == (start, end):
        sort = "a name" if first.tag == "PER" else "a word"
        yield sort, 1.0
        yield f"{sort} surely", min(first.sure, SURE)
    elif last.start == first.end == start + 1 and last.end == end and last.start < end - 1:
        yield "given a word", 1.0
        yield "given a word surely", min(last.sure, SURE)


def _lists(value: str) -> Iterator[tuple[str, float]]:
    """Shipped lists of what is no name."""
    if not plausible(value):
        yield "word of a list", 1.0
    if value in NOT_NAMES:
        yield "all a word of a list", 1.0


def _left(place: Place, start: int) -> tuple[str, bool]:
    """What stands before, and whether words there announce a name."""
    told, role = start in place.told, start in place.roles
    before = place.text[start - 1 : start] if start else ""
    if not before or not _HAN.match(before):
        return _mark(before) + (" told" if told or role else ""), told or role
    if role:
        return "role", True
    word = place.word_at[start - 1]
    return "word " + _tag(word, word is not None and word.end > start), told


def _right(place: Place, end: int) -> str:
    after = place.text[end : end + 1]
    if not after or not _HAN.match(after):
        return "sex" if CALLED.match(place.text, end) else _mark(after)
    if _TITLE.match(place.text, end):
        return "title"
    if GOES_ON.match(place.text, end):
        return "goes on"
    word = place.word_at[end]
    return "word " + _tag(word, word is not None and word.start < end)


def _mark(char: str) -> str:
    return _MARKS.get(char, "digit" if char.isdigit() else "letter" if char.isalpha() else "mark")


def _tag(word: Word | None, cut: bool) -> str:
    return "cut" if cut else word.tag if word is not None else "O"
