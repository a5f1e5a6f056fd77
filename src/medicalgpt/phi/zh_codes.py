"""Numbers that nothing explains: what is no quantity, no date and no code of medicine stands, in a note, for somebody.

The other way round than rules for each kind of number: a long number or code in Chinese text is taken for personal unless what stands beside
it says what it counts or names.
"""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import ZH_BETWEEN, Rule

UNIT: Final = re.compile(
    r"(?! ?[A-Za-z]{1,10} ?=)(?: ?(?:[a-zμµ%‰℃°×*^~≈+]|/\s?[A-Za-zμµ\d個个例人次年月日天]|IU|U(?![A-Za-z\d])|MU|Da(?![a-z])|Hz|Gy|\.\d)"
    r"|[個个例人次元名位只條条张張件份种種年月日天周歲岁户戶家片粒支瓶袋盒枚株克升步卡米]|[余餘多](?=[個个例人次元名位種种万萬])|[单單]位|拷[贝貝]|[亿億万萬千]|平方|公里|公斤|毫|微克|美元|港[元幣币]|[台臺][币幣])"
)
"""What tells that a number before it counts something."""
_COUNTS: Final = re.compile(
    r"(?:[<>≤≥≈~¥￥$±×*^]|[约約达達近逾超共计計总總量度值数數率价價]|[额額压壓]|DNA|RNA|[费費]用?|收入|[花欠]了|拷[贝貝]|准字|[注註][准準]|(?:[药藥]|器|械)[^\s,。]{0,4}字第?|[药藥][物品]?[注註][册冊](?:[证證編编]?[号號碼码])?|批[准]?文?[号號]|(?:GB|YY|WS|DB|ISO|IEC|GB/T|ISBN|ISSN|PMID|CAS|doi)(?:/T)?)\s?[:=为為是]?\s?[A-Z]?$",
    re.IGNORECASE,
)
"""What tells the same before it, or that a public number follows."""
_PUBLIC: Final = re.compile(
    r"(?:rs|NM|NP|NG|NC|XM|NCT|GSE|GSM|SRR|SRP|PRJ\w?|SB|PD|LY|SP|BAY|AZD|MK|ABT|AMG|BI|BMS|CP|GSK|PF|TAK|GB|YY|WS|ISO|IEC|DB|CN|ZL|EP|WO|US|ChiCTR|PMC|PMID|ISBN|ISSN|COVID|CD|HLA|IL|HGNC|OMIM|MIM|ATCC|CAS|EC|UN|GO)[-_]?\d",
    re.IGNORECASE,
)
"""Codes of genes, substances, standards, trials and papers."""
_YEARS: Final = re.compile(r"(?:19|20)\d\d(?:-(?:19|20)\d\d){0,2}")
_DAY: Final = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_LOT: Final = re.compile(r"(?:批[号號]|[货貨][号號]|lot)\s?[:.#]?\s?$", re.IGNORECASE)
_RANGE: Final = re.compile(r"([1-9]\d{1,5})-(\d{2,6})")
_SUBSTANCE: Final = re.compile(r"\d{2,7}-\d\d-\d")
"""How the registry of chemicals (CAS) numbers substances."""
_NO_LABEL: Final = re.compile(
    r"(?:准字|批准?文?|[标標]准|型|房|[货貨]|版|刊|文|公告|令|[规規]格|[专專]利|[邮郵]|[验驗][证證]|密|[条條]形|解|[数數]|[编編]|代|[尺]|[页頁])(?:[号號]|[编編]?[码碼]|代[码碼])$"
)
"""Labels of what is nobody's."""


def _digits(value: str) -> int:
    return sum(char.isdigit() for char in value)


def _coded(value: str) -> bool:
    """Whether a value has the digits of a code, and is no year."""
    return _digits(value) >= 4 and not _YEARS.fullmatch(value)


def _no_lot(match: re.Match[str]) -> bool:
    """Whether a code or day is neither a count nor the lot of a medicine."""
    start, end = match.span()
    return not UNIT.match(match.string, end) and not _LOT.search(match.string, max(0, start - 6), start)


def _labeled(match: re.Match[str]) -> bool:
    start, end = match.span("label")
    return not _NO_LABEL.search(match.string, max(0, start - 4), end) and not UNIT.match(match.string, match.end())


def unexplained(match: re.Match[str]) -> bool:
    """Whether nothing beside a number says what it counts or names."""
    value, text = match.group(), match.string
    if (
        _digits(value) < (5 if value[0].isalpha() else 6)
        or _YEARS.fullmatch(value)
        or _PUBLIC.match(value)
        or _SUBSTANCE.fullmatch(value)
        or value.endswith("000")
        or value.startswith("0800")  # nobody's: a line that costs nothing
    ):
        return False
    if (parts := _RANGE.fullmatch(value)) and len(parts[1]) == len(parts[2]) and parts[1] < parts[2]:
        return False
    return not UNIT.match(text, match.end()) and not _COUNTS.search(text, max(0, match.start() - 10), match.start())


def _coded_apart(match: re.Match[str]) -> bool:
    """Whether letters and digits with a blank or a check digit are no substance, standard or paper, nor an amount of money."""
    value, text = match.group(), match.string
    return (
        not _PUBLIC.match(value.replace(" ", ""))
        and not _COUNTS.search(f"{text[max(0, match.start() - 10) : match.start()]}{value.split(' ')[0]}")
        and not re.match(r"(?:RMB|HKD|USD|NTD|TWD|CNY|MOP|EUR)", value)
        and not value.endswith("000")
        and not UNIT.match(text, match.end())
    )


RULES: Final = (
    Rule(
        "number of some kind",
        Kind.OTHER_ID,
        re.compile(
            rf"(?<=[\u3400-\u9fff])(?P<label>[号號][码碼]?|[编編][号號码碼]|代[码碼]|[码碼]|ID){ZH_BETWEEN}(?P<v>\d{{3,4}}(?: \d{{3,4}}){{2,5}}|[A-Z]{{0,5}}[-_]?\d(?:[-_]?[\dA-Z]){{3,23}})(?![\dA-Za-z])",
            re.IGNORECASE,
        ),
        0.78,
        wanted=_coded,
        fits=_labeled,
    ),
    Rule(
        "unexplained number",
        Kind.OTHER_ID,
        re.compile(
            r"(?:(?<![\dA-Za-z./+_-])|(?<=[\u3400-\u9fff]/))(?<!\d[ :~,])[A-Za-z]{0,5}[-_]?\d{2,20}(?:[-_]\d{2,12}){0,4}(?:(?<=\d{6})-\d|(?<=\d{5})-[A-Z]\d{0,3})?[A-Za-z]{0,2}(?![\dA-Za-z_-])(?! ?\d)"
        ),
        0.62,
        fits=unexplained,
    ),
    Rule(
        "number of letters, a blank and a check digit",
        Kind.RECORD,
        re.compile(r"(?<![\dA-Za-z./+_-])[A-Z]{2,5}(?: ?\d{6,12}\([\dA-Z]\)| \d{8,12}(?![\dA-Za-z./_-]))"),
        0.8,
        fits=_coded_apart,
    ),
    Rule(
        "number of a case at law",
        Kind.OTHER_ID,
        re.compile(
            r"\((?:19|20)\d\d\)\s?[\u3400-\u9fff](?=[\d\u3400-\u9fff]{0,8}[民刑行执執证證公鉴鑒仲诉訴])[\d\u3400-\u9fff]{1,10}?第?\d{1,6}(?:[号號]|-\d{1,3}[号號]?)"
        ),
        0.82,
        needs="民刑行执執证證公鉴鑒仲诉訴",
    ),
    Rule(
        "extension",
        Kind.PHONE,
        re.compile(
            r"(?:分[机機]|[内內][线線]|院[内內]短[号號]|(?<![A-Za-z])[Ee]xt\.?)(?:[号號][码碼]?)? ?:? ?#?(?P<v>\d{3,6})(?![\dA-Za-z.%])"
        ),
        0.85,
        fits=lambda match: not UNIT.match(match.string, match.end()),
    ),
    Rule(
        "number behind a card",
        Kind.OTHER_ID,
        re.compile(
            r"(?:[卡证證牌]|[电電]极|[導导][線线]|[编編][号號码碼])\s{0,2}:?\s{0,2}(?P<v>(?=[A-Z\d-]{0,8}\d)[A-Z\d]{2,20}(?:-[A-Z\d]{2,12}){0,3})(?![\dA-Za-z])"
        ),
        0.72,
        wanted=lambda value: _digits(value) >= 5,
        fits=lambda match: (
            not UNIT.match(match.string, match.end())
            and not _COUNTS.search(match.string, max(0, match.start("v") - 12), match.start("v"))
        ),
    ),
    Rule(
        "code of letters among digits",
        Kind.OTHER_ID,
        re.compile(r"(?<![\dA-Za-z./+_-])(?=[A-Z\d]{0,19}\d[A-Z]{1,6}\d)[A-Z\d]{7,20}(?![\dA-Za-z_-])"),
        0.62,
        wanted=lambda value: _digits(value) >= 5 and not _PUBLIC.match(value),
        fits=_no_lot,
    ),
    Rule(
        "last digits",
        Kind.OTHER_ID,
        re.compile(
            r"(?:(?:[后後末尾][三四五六34-6][位码碼]|尾[号號码碼])(?:[数數]|[号號][码碼])?|[后後末]\s?[四4]\s?[码碼])\s?[:是为為]?\s?(?P<v>\d{2,5}[\dXx])(?![\dA-Za-z.%])"
        ),
        0.85,
    ),
    Rule(
        "compact day",
        Kind.DATE,
        re.compile(rf"(?<![\dA-Za-z./-]){_DAY.pattern}(?![\dA-Za-z./-])"),
        0.7,
        fits=_no_lot,
    ),
)
"""In no order; `spans.merged` prefers the surer one. They are for text that holds Chinese."""
