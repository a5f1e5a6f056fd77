"""Days near people: two or three numbers that can be a day are one unless a unit, a value, a score or a range speaks against it."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule
from medicalgpt.phi.zh_short_dates import DAY_PART, EVENT, NO_DATE

_WEEKDAY: Final = r"(?:\s?\(?(?:周|週|星期|[礼禮]拜)[一二三四五六日天]\)?|\s?\([一二三四五六日]\))?"
_UNIT: Final = re.compile(
    r"\s?(?:[天周週岁歲元万萬亿億年月米升克毫厘公斤两兩度折成倍页頁章题題秒↑↓%‰℃°×x*^±≤≥<>=+]|小[时時]|分[钟鐘]?|[条條]|mm|[cdk]?m(?![a-z])|ml|mg|[μu]|[A-Za-z]{1,4}/|/|以[内外]|[级級期型](?![^\u3400-\u9fff]|$)|点[以几]|[左右](?=[右])|[个個例人名位只片粒支瓶袋张張份次处處层層])"
)
"""What is counted in numbers before it."""
_MEASURED: Final = re.compile(
    r"(?:[糖钾鉀钠鈉钙鈣压壓温溫重高长長径徑宽寬厚深率值度量数數酸酐酶脂氧磷镁鎂铁鐵约約达達别別升降超过過为為比占每各需用加减減共齡龄龋齿腹餐围圍距于於低多近满滿]"
    r"|[白胆][红紅]?素?|血[红紅色]|[细細]胞|[蛋尿]?白|[评評得积積平]分|[图圖表式第章节節]|至少|[达達增升降]到|[眼侧側]|[视視]力|肌力|[缩縮]|[服吃打注给給]|[0-9A-Za-z]|[%℃°+=<>≤≥±×~→↑↓-])\s?[:(]?\s?$"
)
"""What a measured value stands behind, and a day hardly."""
_STAFF_WORD: Final = re.compile(
    r"(?:(?<![A-Za-z])(?:CT|MRI?|C?XR|AXR|KUB|EKG|ECG|[Oo]p|OP|[Aa]dm|D/C|[Ff]/?[Uu]|TCA|[Oo]n|[Ss]ince|[Ss]een|[Rr]ound|[Nn]otes?|[Tt]ransfer(?:red)?|[Dd]ated?|[Dd]ay|[Ll]ast|[Nn]ext|[Ff]rom|[Tt]o|[Uu]ntil|[Tt]ill|[Bb]y|[Dd]ue|[Oo]ff|ER|OPD|ICU|PET|NT|DO[ABDI]|LMP|ED[CD]|MBD|POD\d?|C\d|[Aa]ppt|[Vv]isit|[Rr]eview(?:ed)?|[Aa]dmitted|[Dd]ischarged?|[Rr]eport(?:ed)?|[Ss]igned|[Ii]njury)|D/C|POD\d)\s?[:(]?\s?$"
)
"""What staff write in letters before a day."""
_TAKEN: Final = re.compile(r"(?:(?<!\d\d\d)[\d.][ ,:]|[\dA-Za-z]\)\s?)$")
_SAID_NO: Final = re.compile(r"[占约約的中上下近达達][1-9]/\d$")
_FRACTIONS: Final = frozenset(
    {"1/2", "1/3", "2/3", "1/4", "3/4", "1/5", "2/5", "3/5", "4/5", "5/5", "1/6", "5/6", "3/6", "2/6", "1/8", "10/10"}
)
"""What is a part, or a murmur's or a muscle's grade, far oftener than a day."""
_EXPECTED: Final = re.compile(rf"\s?(?:{DAY_PART}|{EVENT}|\d{{1,2}}:\d\d)")
_SECTION: Final = re.compile(r"(?:^|\n)\s{0,4}$")


_SCORED: Final = re.compile(
    r"(?:[视視]力|肌力|[评評积積得][分]|分期|[压壓]|比例?|率|[剂劑]量|[矫矯]正|[左右双雙][眼肺侧側]|(?<![A-Za-z])(?:VAS?|NRS|MRC|Apgar|GCS|MMSE|MoCA|AMT|BP|PS|KPS|ECOG|OD|OS|HR|score|grade|stage|power))\s?[:为為是]?\s?$",
    re.IGNORECASE,
)
"""What tells, before two numbers, that they are a score or a pressure."""
_FOR: Final = re.compile(r"(?:[xX×]|(?<![A-Za-z])for)\s?$")
"""How Hong Kong's doctors write how long: x 2/7 is two days, 1/12 a month."""
_LATIN: Final = re.compile(r"[A-Za-z]\s?$")
_ALONE: Final = re.compile(r"(?:^|[\n,。;:(、 您你他她我])$")
_CLEAR: Final = re.compile(r"\s?(?:[在我他她患家陪带帶请請补補记記的门門会會生值跟]|$|[。;)\n])")
_ROW: Final = re.compile(r"(?<![\d.])(\d{1,4})\.(\d{1,3})[、,/]\s?$")
_VALUES: Final = re.compile(
    r"[、,/]\d{1,4}(?:\.\d{1,3})?\s?[a-zA-Zμ%‰]|[、,]\d{1,3}\.(?:\d{3,}|[4-9]\d)|\||\s?~|\s[A-Za-z]{1,3}(?![A-Za-z])"
)
"""Values in a row, and cells of a table of them."""


def _in_a_row(text: str, low: int, start: int) -> bool:
    """Whether a cell of a table begins here, or a value that is no day stands before."""
    before = _ROW.search(text, low, start)
    return text[start - 1 : start] == "|" or bool(before and not _can_be(int(before[1]), int(before[2])))


def _fraction(text: str, low: int, start: int, match: re.Match[str]) -> bool:
    """Whether two numbers and a slash are rather a part or a score."""
    a, b = int(match["a"]), int(match["b"])
    if "0" in (match["a"][0], match["b"][0]) or (
        _ALONE.search(text, low, start) and _CLEAR.match(text, match.end("v"))
    ):
        return False
    if _FOR.search(text, low, start) or f"{a}/{b}" in _FRACTIONS or _SAID_NO.search(text[low : match.end("b")]):
        return True
    return bool(_LATIN.search(text, low, start)) and a <= b and (b in (10, 15, 20, 30) or a == 6)


def _can_be(a: int, b: int) -> bool:
    return 0 < min(a, b) <= 12 and 0 < max(a, b) <= 31


def _two(match: re.Match[str]) -> bool:
    """Whether nothing beside two numbers says that they are no day."""
    text, start, end, mark = match.string, match.start("v"), match.end("v"), match["mark"]
    a, b = int(match["a"]), int(match["b"])
    low = max(0, start - 16)
    if not _can_be(a, b) or _UNIT.match(text, end) or NO_DATE.match(text, end):
        return False
    if match["until"] and not _can_be(int(match["c"]), int(match["d"])):
        return False
    if _STAFF_WORD.search(text, low, start) or _EXPECTED.match(text, end):
        return not _SCORED.search(text, low, start)
    if _SCORED.search(text, low, start) or _TAKEN.search(text, low, start):
        return False
    padded = "0" in (match["a"][0], match["b"][0])
    if mark == "/":
        return not _fraction(text, low, start, match)
    if _MEASURED.search(text, low, start):
        return False
    if mark == "-":
        return (
            padded
            or max(a, b) > 12
            or bool(match["until"] or (_ALONE.search(text, low, start) and _CLEAR.match(text, end)))
        )
    if _in_a_row(text, low, start) or _VALUES.match(text, end):
        return False
    return not (_SECTION.search(text, low, start) and b < 10 and not padded and not match["until"])


def _three(match: re.Match[str]) -> bool:
    """Whether three numbers can be a date: of our years, of the republic's, or the day first."""
    first, last = match["a"], match["c"]
    a, b, c = int(first), int(match["b"]), int(last)
    text, end = match.string, match.end("v")
    if _UNIT.match(text, end) or re.match(r"\s?(?:mg|[a-zμ]|版)", text[end : end + 3]):
        return False
    if re.search(r"(?:[vV版第]|[Vv]er\.?|IP|[图圖表])\s?[:.]?$", text[max(0, match.start("v") - 5) : match.start("v")]):
        return False
    if len(first) == 3:
        return 20 <= a <= 130 and 0 < b <= 12 and 0 < c <= 31
    if len(last) == 2 and _can_be(a, b) and (c <= 35 or c >= 40) and len(match["b"]) <= 2:
        return a > 0
    return len(first) == 2 and 0 < b <= 12 and 0 < c <= 31


_HAN_MONTH: Final = r"(?:[闰閏]?(?:十[一二]|[正元一二三四五六七八九十冬腊臘]))月"
_HAN_DAY: Final = (
    r"(?:初[一二三四五六七八九十]|廿[一二三四五六七八九]?|卅|[二三]?十[一二三四五六七八九]?|[一二三四五六七八九]|半|底)"
)
_HARVEST: Final = re.compile(
    r"[日号號]?[\s,、]{0,2}(?:[采採收曬晒]|生(?![人日于於])|取[之])|[个個天余餘多来來年月岁歲份]"
)


def _written(match: re.Match[str]) -> bool:
    return not _HARVEST.match(match.string, match.end("v"))


_BEDS: Final = re.compile(
    r"\s?(?:[床楼樓栋棟幢座机機房病线線台臺院门門桌窗柜櫃车車导導管针針片方令文件位色选選染球]|[-~至到](?!\d)|技[师師])"
)


def _day_alone(match: re.Match[str]) -> bool:
    """Whether a day without its month is no bed, house or machine."""
    return int(match["a"]) <= 31 and not _BEDS.match(match.string, match.end("v"))


_A, _B = r"(?P<a>\d{1,2})", r"(?P<b>\d{1,2})"
RULES: Final = (
    Rule(
        "two numbers near people",
        Kind.DATE,
        re.compile(
            rf"(?<![\dA-Za-z.+×~/])(?<!\d-)(?P<v>{_A}(?P<mark>[./-]){_B}(?P<until>\s?[-~至到]\s?(?P<c>\d{{1,2}})(?P=mark)(?P<d>\d{{1,2}}))?(?![\dA-Za-z/*]|\.\d|-\d){_WEEKDAY})"
        ),
        0.7,
        fits=_two,
        needs="./-",
    ),
    Rule(
        "three numbers near people",
        Kind.DATE,
        re.compile(
            rf"(?<![\dA-Za-z.+×~-])(?<![\dA-Za-z]/)(?P<v>(?P<a>\d{{1,3}})(?P<mark>[./-])(?P<b>\d{{1,2}})(?P=mark)(?P<c>\d{{1,2}})(?![\dA-Za-z]|[./-]\d){_WEEKDAY})"
        ),
        0.7,
        fits=_three,
        needs="./-",
    ),
    Rule(
        "month of a year near people",
        Kind.DATE,
        re.compile(
            r"(?<![\dA-Za-z./~+×-])(?:19|20)\d\d(?:[./]|-(?=\d{1,2}(?![\d-])))(?:1[0-2]|0?[1-9])(?![\d/]|\.\d|\s?[%‰a-zμ个個例人次元])"
        ),
        0.7,
        needs="./-",
    ),
    Rule(
        "part of a month near people",
        Kind.DATE,
        re.compile(
            r"(?:(?:[去前今明次翌同舊旧]年|(?:19|20)?\d\d年)\s?)?(?<!\d)(?:1[0-2]|0?[1-9]|十[一二]|[正一二三四五六七八九十冬腊臘])月(?:[上中下]旬|[初底末尾]|份[初底末])|(?:去|前|今|明|次|翌|舊|旧|上)年\s?(?:1[0-2]|[1-9]|十[一二]|[一二三四五六七八九十])月(?![\d个個])"
        ),
        0.7,
        needs="月",
    ),
    Rule(
        "written day near people",
        Kind.DATE,
        re.compile(
            rf"(?<![一二三四五六七八九十年、个個两兩几幾每])(?P<v>{_HAN_MONTH}{_HAN_DAY}[日号號]?)(?=$|[^\u3400-\u9fff]|[入出住转轉来來去回早上下中晚夜生开開发發跌摔到的在又才嫁出结結走没過过前后後])"
        ),
        0.7,
        fits=_written,
        needs="月",
    ),
    Rule(
        "day of some month near people",
        Kind.DATE,
        re.compile(
            rf"(?:^|(?<=[\n。,;:( ])|(?<=[在到至于於约約定是了月天日即]))(?P<v>(?P<a>[12]\d|3[01]|0?[1-9])\s?(?:日|[号號])(?:\s?[-~至到、]\s?(?:[12]\d|3[01]|[1-9])[日号號])?)(?=\s?(?:{DAY_PART}|{EVENT}|[)交再来來去回前后後开開换換做抽拆随隨就]|\d{{1,2}}:\d\d))",
            re.MULTILINE,
        ),
        0.68,
        fits=_day_alone,
        needs="日号號",
    ),
    Rule(
        "days of one month near people",
        Kind.DATE,
        re.compile(
            r"(?<![\d.第])(?:(?:1[0-2]|0?[1-9])月)?(?:[12]\d|3[01]|0?[1-9])(?:\s?[、和及至~-]\s?(?:[12]\d|3[01]|[1-9])){1,4}[日号號](?![床楼樓机機房线線门門])|(?<![\d.])(?:1[0-2]|0?[1-9])月(?:[12]\d|3[01]|0?[1-9])[-~至到](?:[12]\d|3[01]|0?[1-9])(?![\d.天月个個])"
        ),
        0.7,
        needs="日号號月",
    ),
)
"""In no order; `spans.merged` prefers the surer one."""
