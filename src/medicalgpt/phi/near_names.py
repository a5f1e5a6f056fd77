"""Short names near people: pet names, 小X, X姐, an English given name, names of peoples without a surname; see `near_people`."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from medicalgpt.phi.fold import simplified
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.latin_syllables import ENGLISH_GIVEN
from medicalgpt.phi.lists import words as listed
from medicalgpt.phi.name_weights import GIVEN, PEOPLES
from medicalgpt.phi.name_words import PERSONS, sort
from medicalgpt.phi.rules import BORDER, Rule
from medicalgpt.phi.spans import Span
from medicalgpt.phi.zh_called import NOBODY
from medicalgpt.phi.zh_names import CALLED_BY, DOUBLE, SINGLE, SURNAMES, WEAK, named, sounds

_HAN: Final = r"[\u3400-\u9fff]"
_FIRM: Final = "".join(char for char in SINGLE if char not in WEAK)
_PET: Final = frozenset(
    "豆果朵糖球团團嘟米多乐樂甜萌点點毛妞皮壮壯虎圆圓牛兔熊猫貓鱼魚桃橙莓苗芽叶葉花星阳陽贝貝丁当蛋包宝寶布丫妮囡囝奇琪安洋仔樱櫻可心诺諾淘闹鬧石粒"
)
"""Characters that children are called by, besides those of given names."""
_NO_PET: Final = re.compile(
    r"[男女患者家属屬本人父母妻夫子儿兒媳婿兄弟姐姊妹护護医醫师師主任士费費已代未签簽长長工班科床病岁歲化名住院诊診男左右侧側自述证證电電話话号號月日年新旧舊同上无無有]|[阴陰阳陽]性"
)
_KIN: Final = r"妈|媽|爸|爷|爺|奶|姥|外[公婆]|家[长長]|阿[嬤公嫲]|老[师師]"
_CHILD: Final = r"[宝寶]{2}|孩子|小孩|女[儿兒]|[儿兒]子|[孙孫][子女]|外[孙孫甥]女?|侄[子女儿兒]|妹妹|弟弟|姐姐|哥哥|患[儿兒]|[闺閨]女|囡囡|[双雙]胞胎|幼[儿兒]|小朋友|班[上里裡]|我[们們]?家|同桌|老[大二三么]|小名|乳名|昵[称稱]|[个個]案|案主|[来來][访訪談谈]者|[邻鄰]居|病友|工友|同事|室友|保安|保[洁潔]|司[机機]"
_GOES_ON: Final = r"$|[^\u3400-\u9fff]|[今昨明又也还還已都的在是有不没沒说說话話想要会會能去来來吃喝睡打发發咳吐拉流摔跌晚早上下叫请請和跟与與同刚剛被把给給让讓从從自签簽陪代]|\d"


def _dull(text: str, start: int, end: int) -> bool:
    """Whether a run of characters is an everyday word, or makes one with a character beside it."""
    plain = simplified(text[max(0, start - 1) : end + 2])
    at = min(start, 1)
    size = end - start
    whole = plain[at : at + size]
    across = (plain[:2] if at else "", plain[at + size - 1 : at + size + 1], plain[at : at + size + 1])
    return bool(sort(whole)) or any(len(part) > 1 and sort(part) for part in across)


def _weight(char: str) -> float:
    return GIVEN.get(simplified(char), 0.0)


def _pet(value: str) -> bool:
    """Whether characters may be what a child is called."""
    if _NO_PET.search(value) or value in PERSONS or value in ("宝宝", "寶寶", "娃娃", "贝贝"):
        return False
    if len(value) == 2 and value[0] == value[1]:
        return value[0] in _PET or _weight(value[0]) > 0.3
    return value[0] in "小阿" or all(char in _PET or _weight(char) > 0.3 for char in value)


def _of_a_child(match: re.Match[str]) -> bool:
    """Whether what stands behind a word for a child is what it is called: a doubled character before a border may be a word, too."""
    value, text = match["v"], match.string
    if not _pet(value):
        return False
    if re.match(r"[,、]?\s?\d{1,2}\s?[岁歲个個]", text[match.end("v") : match.end("v") + 6]):
        return True
    border = not "\u3400" <= text[match.end("v") : match.end("v") + 1] <= "\u9fff"
    return (len(set(value)) == 1 and border) or not _dull(text, *match.span("v"))


def _doubled(match: re.Match[str]) -> bool:
    return _pet(match["v"]) and sort(simplified(match["v"])) != "often"


_HAN_CHAR: Final = re.compile(_HAN)


def _diminutive(match: re.Match[str]) -> bool:
    """Whether 小X, 阿X or 老X is no word, nor makes one with what stands beside it."""
    text, (start, end) = match.string, match.span("v")
    last = text[end - 1]
    if _dull(text, start, end):
        return False
    if match["first"] == "阿":
        return last in _FIRM or _weight(last) > 0.3
    alone = not _HAN_CHAR.match(text, end) and not (start and _HAN_CHAR.match(text, start - 1))
    return last in _FIRM or (alone and last in SINGLE)


def _before_kin(match: re.Match[str]) -> bool:
    """Whether one or two characters before 姐 or 伯 may be of a given name, and make no word."""
    value, text, start, end = match["v"], match.string, match.start("v"), match.end("v")
    if any(char in NOBODY or char in "学學师師" for char in value) or _dull(text, start, end):
        return False
    return all(_weight(char) > 0.2 or (len(value) == 1 and char in _FIRM) for char in value)


def _of_a_people(match: re.Match[str]) -> bool:
    """Whether characters are mostly those that names of peoples without a surname are written with."""
    value, behind = match["v"], match.string[match.end("v") : match.end("v") + 1]
    weights = [PEOPLES.get(char, 0.0) for char in value]
    if value[0] not in PEOPLES or value[0] == "送" or value[-1] in _SUBSTANCE or behind.isdigit():
        return False
    if value in _NO_PEOPLE or value + behind in _NO_PEOPLE:
        return False
    words = any(sort(simplified(value[at : at + 2])) == "often" for at in range(len(value) - 1))
    return not words and sum(weights) >= 1.4 * len(value) and sum(map(bool, weights)) >= len(value) - 1


def _between_borders(match: re.Match[str]) -> bool:
    """Whether a surname and what stands behind it are a name rather than words: characters of given names, no word among them."""
    value = match["v"]
    given = value[2:] if len(value) == 4 or value[:2] in SURNAMES else value[1:]
    if (
        value in _NO_PEOPLE
        or not named(value)
        or any(sort(simplified(value[at : at + 2])) for at in range(len(value) - 1))
    ):
        return False
    return sum(map(_weight, given)) > 1.0 and not sort(simplified(value))


def _titled(match: re.Match[str]) -> bool:
    text, start, end = match.string, match.start("v"), match.end("v")
    if match["v"] in NOBODY:
        return False
    return not any(sort(simplified(text[start : end + n])) == "often" for n in (1, 2)) and not (
        start and sort(simplified(text[start - 1 : end]))
    )


_SUBSTANCE: Final = frozenset("热熱错錯唑挫净淨糖波红紅土素胺酯苷醇酸南平林尼星片丸膏汤湯散")
"""How drugs and other substances end."""
_NO_PEOPLE: Final = frozenset([*listed("keep/medicines"), *listed("keep/drugs"), *listed("zh/cities")])
_IN_BRACKETS: Final = re.compile(
    rf"\s?[(「\"'](?:小名|乳名|[昵暱][称稱]|小字|人[称稱])?:?\s?(?P<v>{_HAN}{{2,3}})(?:是家[里裡]叫的)?[)」\"']"
)


_INTRODUCED: Final = re.compile(r"\s?[,、]?\s?(?:[男女](?![友婿])|\d{1,3}\s?[岁歲月天个個])")


def beside_names(text: str, known: Sequence[Span]) -> Iterator[Span]:
    """What somebody is called, in brackets behind a name that was found: 姜小丽（嘟嘟）."""
    for span in known:
        if span.kind is not Kind.NAME or not (match := _IN_BRACKETS.match(text, span.end)):
            continue
        if _pet(match["v"]) or (_INTRODUCED.match(text, match.end()) and not _NO_PET.search(match["v"])):
            yield Span(*match.span("v"), Kind.NAME, "pattern:pet name in brackets", 0.69)


def _english(match: re.Match[str]) -> bool:
    if match["v"].casefold() not in ENGLISH_GIVEN:
        return False
    return match["v"] not in ("May", "April", "June", "August") or not re.match(
        r"\s?\d", match.string[match.end() :][:2]
    )


RULES: Final = (
    Rule(
        "doubled name near people",
        Kind.NAME,
        re.compile(rf"(?:{BORDER}|(?<={_HAN}))(?P<v>({_HAN})\2)(?!\2)(?={_KIN}|是家[里裡]叫|{_GOES_ON})", re.MULTILINE),
        0.68,
        fits=_doubled,
    ),
    Rule(
        "child's name near people",
        Kind.NAME,
        re.compile(rf"(?:{_CHILD})[:,]?(?:是|叫)?(?P<v>{_HAN}{{2,3}}?)(?={_GOES_ON})"),
        0.68,
        fits=_of_a_child,
    ),
    Rule(
        "pet name said near people",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER})(?P<v>{_HAN}{{2,3}})(?=是?(?:家[里裡]叫|[小乳]名)|(?:[妈媽爸]{{1,2}}|[爷爺]{{2}}|奶奶|外[公婆]):)",
            re.MULTILINE,
        ),
        0.7,
        wanted=lambda v: not _NO_PET.search(v) and v not in PERSONS,
    ),
    Rule(
        "diminutive near people",
        Kind.NAME,
        re.compile(rf"(?P<v>(?P<first>[小阿老])[{SINGLE}\u3400-\u9fff])(?!{_HAN}?(?:[儿兒](?![子女])|[管叶葉]))"),
        0.66,
        fits=_diminutive,
        needs="小阿老",
    ),
    Rule(
        "name before kin near people",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[请請找叫问問跟托託向给給与與和同搵畀俾由被让讓個个位主里裡要换換顾顧]))(?P<v>{_HAN}{{1,2}})(?=(?:[姐姊哥叔姨嫂婶嬸伯仔]|阿[公嬤婆姨伯]|他[妈媽爸]|[伯婆](?=[伯唔話嘅喺]))(?![弟妹姐哥姊夫们們子女儿兒媳家父母]))",
            re.MULTILINE,
        ),
        0.66,
        fits=_before_kin,
        needs="姐姊哥叔姨嫂婶嬸伯仔阿他",
    ),
    Rule(
        "old man near people",
        Kind.NAME,
        re.compile(rf"(?<=老)(?P<v>[{SINGLE}])(?=[头頭](?![痛晕暈疼昏发發皮颅顱部脑腦上]))"),
        0.7,
        needs="老",
    ),
    Rule(
        "English given name near people",
        Kind.NAME,
        re.compile(
            r"(?:(?<![A-Za-z.'-])(?:Drs?\.?|Dear|Hi|Hello|Thanks,|[Rr]egards,|[Nn]urse|Sister|by|to|with|from|and|&|ask|told|per)\s|(?<=[\u3400-\u9fff,.:;/|()\n。、])\s?|^)(?P<v>[A-Z][a-z]{1,10})(?=\s?(?:[\u3400-\u9fff,.:;/|()!?。\n]|$)|\s(?:to|will|said|is|has|pls|please|and|&|asked|on)\b)",
            re.MULTILINE,
        ),
        0.68,
        fits=_english,
    ),
    Rule(
        "surname before a title near people",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[院室科所局队隊部组組班师師士工员員是给給找让讓请請跟和由问問叫被向与與,据]))(?P<v>[{SINGLE}])(?={CALLED_BY}|某某)"
        ),
        0.68,
        fits=_titled,
    ),
    Rule(
        "full name behind kin near people",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[系其之和及]))(?:[弟兄姐妹哥女子母父妻夫]|丈夫|妻子|[鉴鑒]定人|我是)(?P<v>[{SINGLE}]{_HAN}{{1,2}})(?=[,、。()\s]|$|接[听聽]|带|帶|陪|在|[学學送签簽])"
        ),
        0.66,
        wanted=lambda v: named(v) and sounds(v) and not sort(simplified(v)),
    ),
    Rule(
        "given name near people",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER})(?P<v>{_HAN}{{2}})(?=小朋友|[今昨][日天晚早]|[妈媽爸]{{1,2}}(?:[话話说說:]|来電|來電)|弟兄|姊妹)",
            re.MULTILINE,
        ),
        0.66,
        fits=lambda match: (
            sum(map(_weight, match["v"])) > 0.5
            and not _NO_PET.search(match["v"])
            and not _dull(match.string, *match.span("v"))
        ),
    ),
    Rule(
        "name between borders near people",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER})(?P<v>(?:{DOUBLE}|[{_FIRM}]){_HAN}{{1,2}})(?=$|[^\u3400-\u9fff]|[妈媽爸](?!爸|妈|媽)|敬上)",
            re.MULTILINE,
        ),
        0.66,
        fits=_between_borders,
    ),
    Rule(
        "name of a people near people",
        Kind.NAME,
        re.compile(
            rf"(?:{BORDER}|(?<=[人者是叫名友属屬士生师師工员員亲親妻夫医醫收打给给找由请請和与與]))(?=(?P<v>{_HAN}{{3,6}}?)(?:$|[^\u3400-\u9fff]|[收男女因在于於来來拒已主经經护護医醫大老先奶爷的说說分向被送陪]|打[电電工]))",
            re.MULTILINE,
        ),
        0.66,
        fits=_of_a_people,
    ),
)
"""In no order; `spans.merged` prefers the surer one."""
