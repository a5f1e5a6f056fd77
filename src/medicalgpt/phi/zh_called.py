"""People who are called by a part of their name: 田女士, 丁某, 小薛, 陳姓醫生, told from words that look alike by the words around them."""

import re
from collections.abc import Container, Iterator
from typing import Final

from medicalgpt.phi.fold import simplified
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.name_words import sort
from medicalgpt.phi.rules import BORDER, Rule
from medicalgpt.phi.zh_names import ADDRESSED, CALLED_BY, CALLED_FIRST, DOUBLE, NO_ONE, SINGLE, SURNAMES, THEN, WEAK
from medicalgpt.phi.zh_roles import ROLES

_FIRM: Final = "".join(name for name in SINGLE if name not in WEAK)
_FAINT: Final = "".join(name for name in SINGLE if name in WEAK)
_NEVER: Final = frozenset(
    "由從从佢全位来來和有都应應等时時年国國农農官家门門代单單各别別那东東支通连連成向保解查包管路房车車计計平元承台原那师師库庫居於于养養公充束帖征扎利保全每本伯祝福阳陽危"
)
"""Surnames that mostly are the end of another word before a title: 各位专家, 本院医生."""
TITLED: Final = rf"{CALLED_BY}|姓(?=[医醫男女患病主教护護])|老[汉漢伯爷爺太奶]|[叔婶嬸伯][叔婶嬸伯]|姑姑|[舅姨][舅妈媽]|[大二三][叔伯婶嬸爷爺妈媽姨舅]|[医醫]助|女[孩童]|姑娘(?![家])|[师師][兄姐弟妹傅]|[学學][长長姐弟妹]"
_TITLED_FIRST: Final = "".join(
    sorted({*CALLED_FIRST, *(word[0] for word in ADDRESSED.split("|")), *"姓老叔婶嬸伯姑舅姨大二三医醫女师師学學"})
)
"""How these begin."""
SHORT: Final = rf"(?:{ADDRESSED}){THEN}"


def _apart(match: re.Match[str]) -> bool:
    """Whether no everyday word stands across the beginning of a surname, or begins with it and cuts what people are called."""
    text, (start, end) = match.string, match.span("v")
    surname = match.group("v")
    before = text[start - 1 : start]
    if "\u3400" <= before <= "\u9fff":
        if surname in _NEVER or text[start - 1 : start + 1] in NO_ONE:
            return False
        if any(sort(simplified(text[start - n : end])) for n in (1, 2, 3) if n <= start):
            return False
    return len(surname) > 1 or not any(sort(simplified(text[start : start + n])) for n in (2, 4))


_PLACES: Final = frozenset(["中心", "医院", "醫院", "病区", "病區", "病房", "诊所", "診所"])
_ROLE: Final = re.compile(rf"(?:{ROLES})$")


def _behind_role(match: re.Match[str]) -> bool:
    """A surname behind a role or an institution and before a title, also one that mostly is a word: 班主任查老师, 中心计老师."""
    text, (start, end) = match.string, match.span("v")
    if text[start] in NOBODY or any(sort(simplified(text[start : end + n])) for n in (1, 2, 3)):
        return False
    if text[max(0, start - 2) : start] in _PLACES:
        return True
    if not _ROLE.search(text, max(0, start - 6), start):
        return False
    return not any(sort(simplified(text[start - n : end])) for n in (1, 2))


_ITEM: Final = re.compile(r"(?:[\u2460-\u2473]|\d[.、)])\s?$")
"""The number of an item of a list."""


def _familiar(match: re.Match[str]) -> bool:
    """Whether 小薛 is no word or an item of a list, and none begins with its surname."""
    text, (start, end) = match.string, match.span("v")
    if any(sort(simplified(text[a:b])) for a, b in ((end - 1, end + 1), (start, end + 1))):
        return False
    return not sort(simplified(text[start:end])) or bool(_ITEM.search(text, max(0, start - 3), start))


NOBODY: Final = frozenset(
    "佢由女男老小大新原前副正总總该該本我你他她您各贵貴某好的是说說请請叫问問找有名位那这這哪两兩一二三四五多几幾每全专專中西外内內客其此同和与與及或对對为為在于於到从從被把让讓给給了吗嗎吧呢啊也都就又还還再仍已将將会會能可要应應想去来來看听聽谢謝祝亲親当當值轮輪实實带帶主管责責助护護科院室组組级級长長家姓"
)
"""Characters that make no surname of a title behind them where nothing else stands before: 女医生, 副主任."""


def _no_word(match: re.Match[str]) -> bool:
    """Whether a character alone before a title is no word with it."""
    text, at = match.string, match.start("v")
    return text[at] not in NOBODY and not any(sort(simplified(text[at : at + n])) for n in (2, 3, 4))


_BEHIND: Final = re.compile(rf"(?<=[\u3400-\u9fff])(?:{TITLED}|{SHORT}|某)")


def surname_of(name: str) -> str:
    """The surname of a full name in Chinese characters; of four, where two are surnames, both: 陳林美玉."""
    both = len(name) == 4 and name[0] in SURNAMES and name[1] in SURNAMES
    return name[:2] if both or (len(name) > 2 and name[:2] in SURNAMES) else name[:1]


def called(text: str, surnames: Container[str]) -> Iterator[tuple[int, int]]:
    """Where somebody with one of some surnames is called by it alone, before a title."""
    for match in _BEHIND.finditer(text):
        end = match.start()
        size = next((n for n in (2, 1) if n <= end and text[end - n : end] in surnames), 0)
        if size and not sort(simplified(text[max(0, end - size - 1) : end])):
            yield end - size, end


_FAMILIAR: Final = re.compile(
    r"(?:(?<=[^大])[小阿老](?P<a>[\u3400-\u9fff])|(?P<b>[\u3400-\u9fff])(?=(?:[哥姐姊妹嫂叔姨伯婶嬸仔]|[老总總工])(?![弟妹哥姐夫家们們子女儿兒媳师師是]))|(?P<c>[\u3400-\u9fff])(?=[Ss]ir|SIR))"
)


def familiar(text: str, characters: Container[str]) -> Iterator[tuple[int, int]]:
    """Where somebody is called by one of some characters, a surname or the last of a name: 阿玲, 玲姐."""
    for match in _FAMILIAR.finditer(text):
        start, end = match.span(match.lastgroup or 0)
        if match["a"]:  # 阿玲: what tells of somebody stands before the character
            first, parts = match.start(), [match.span()]
        else:
            first, parts = start, [(start, end + 1), (start, end + 2), *([(start - 1, end)] if start else [])]
        if text[start] in characters and not any(sort(simplified(text[a:b])) for a, b in parts):
            yield first, end


_ROLE_ENDS: Final = frozenset("士生师師员員工者")
"""How words for staff end."""
_SOMEBODY: Final = re.compile(
    rf"(?P<v>[{SINGLE}])(?=某(?![些种種个個处處日院年月地项項类類天一人省市县縣医醫公校区區单單病药藥]))"
)


def somebody(text: str) -> Iterator[tuple[int, int]]:
    """Surnames before 某, which tell of somebody in a document that holds numbers of people: 护士钟某."""
    for match in _SOMEBODY.finditer(text):
        start, end = match.span()
        behind_role = text[max(0, start - 1) : start] in _ROLE_ENDS
        if (match.group() in _FIRM or behind_role) and not sort(simplified(text[max(0, start - 1) : end])):
            yield start, end


RULES: Final = (
    Rule(
        "character alone before a title",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=联系|聯繫|聯絡|同意|反馈|反饋|告知|通知|请示|請示|建议|建議|报告|報告|遵照|感谢|感謝|询问|詢問))(?P<v>[\u3400-\u9fff])(?=[医醫]生|[医醫][师師]|教授|主任|[护護]士|[护護][师師]|大夫|女士|先生|小姐|太太|阿姨|老[师師]|[师師]傅)"
        ),
        0.74,
        fits=_no_word,
    ),
    Rule(
        "surname said",
        Kind.NAME,
        re.compile(
            rf"(?<![\d同百老大小贵貴尊复複族])姓(?P<v>(?:{DOUBLE})|[{SINGLE}])(?=[,。、;:!?)\s]|$|的(?![\u3400-\u9fff]?[人家多少])|[医醫男女])"
        ),
        0.85,
        needs="姓",
    ),
    Rule(
        "surname of whoever speaks",
        Kind.NAME,
        re.compile(r"(?<=[我他她佢俺]姓)(?P<v>[\u3400-\u9fff])(?=[,。;!\n]|$|\s?是|名)"),
        0.85,
        wanted=lambda v: v not in "什啥何甚名氏",
        needs="姓",
    ),
    Rule(
        "surname of an elder",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[医醫授师師家任随隨从從请請据據跟问問]))(?P<v>[{SINGLE}])(?=老(?:口述|[认認][为為]|[曰云言谓謂]|[讲講]|常?[说說](?!明)|[用治](?![疗療])|[处處拟擬]方|先生|[经經][验驗]|[医醫]案|[学學][术術]))"
        ),
        0.76,
        wanted=lambda v: v not in NOBODY and v not in _NEVER,
        needs="老",
    ),
    Rule(
        "somebody who writes or is written to",
        Kind.NAME,
        re.compile(
            rf"(?:(?:^|(?<=[\s。;,]))(?P<v>[小老阿](?:{DOUBLE}|[{SINGLE}]))(?=: ?[小老阿](?:{DOUBLE}|[{SINGLE}])[,:!]))",
            re.MULTILINE,
        ),
        0.8,
        needs=":",
    ),
    Rule(
        "somebody who is written to",
        Kind.NAME,
        re.compile(rf"(?<=[小老阿][{SINGLE}]:)(?P<v> ?[小老阿](?:{DOUBLE}|[{SINGLE}]))(?=[,:!])"),
        0.8,
        needs=":",
    ),
    Rule(
        "surname of Hong Kong",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[話叫同搵問俾畀帶由]))(?P<v>[{SINGLE}])(?=[生太](?:[落話嚟去係有同嘅仲又聽琴個隻唔冇喺已]|[,。、;:\s]))"
        ),
        0.74,
        wanted=lambda v: v not in NOBODY and v not in _NEVER,
        fits=lambda match: not sort(simplified(match.string[match.start("v") : match.end() + 1])),
        needs="生太",
    ),
    Rule(
        "surname between words",
        Kind.NAME,
        re.compile(rf"(?P<v>(?:{DOUBLE})|[{SINGLE}])(?=[{_TITLED_FIRST}])(?={TITLED}|{SHORT})"),
        0.75,
        fits=lambda match: _apart(match) or _behind_role(match),
    ),
    Rule(
        "familiar name of a weak surname",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[护護]士|[医醫]生|同事|村[医醫]|工友|室友|病友|[邻鄰]居))(?P<v>[小老][{_FAINT}])(?=[今昨又也说說就给給和与與送,、。]|\s[周今昨])"
        ),
        0.73,
        wanted=lambda v: not sort(simplified(v)),
        needs="小老",
    ),
    Rule(
        "familiar name by a surname",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[跟和给給找让讓叫问問是请請与與向说說有带帶陪送接等把被士生属屬友事居师師者医醫工书書的组組班])|(?<=叫我))(?P<v>[小老阿](?:{DOUBLE}|[{_FIRM}]))(?=$|[^\u3400-\u9fff]|[与與住出入病做的说說家也在就你您来來去他她和跟给給让讓把被都还還又已昨今明早晚上下刚剛要会會能想问問打看到是没沒叫请請带帶陪接就])"
        ),
        0.75,
        fits=_familiar,
        needs="小老阿",
    ),
)
