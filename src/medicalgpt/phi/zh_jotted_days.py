"""Days as staff jot them down: 8.20, 05-26, 7月24. They look like values, ranges and sections; what stands beside them tells."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule
from medicalgpt.phi.zh_short_dates import (
    ACT,
    DAY_NUMBER,
    DAY_PART,
    ENDS,
    EVENT,
    MONTH_NUMBER,
    NO_DATE,
    SCORE,
    SEX_AND_AGE,
    SIGNED_BY,
    WEEKDAY,
)

_NO_DAY: Final = re.compile(r"\s?(?:[天周週岁歲]|小[时時]|分[钟鐘]|[倍±<>≤≥]|mm|cm)")
"""What, behind two numbers, is counted in them; `NO_DATE` has the rest."""
_BEHIND: Final = re.compile(rf"\s?(?:{WEEKDAY}|{DAY_PART}|{EVENT}|{ACT}|</t[dh]>)")
_CHECKED: Final = re.compile(r"\s?[复複覆体體][查检檢](?:[^\u3400-\u9fff]|$)")
"""A check and its value (钾3.5复查3.8), rather than a check on a day."""
_VALUE: Final = re.compile(r"[A-Za-z%血糖钾鉀钠鈉钙鈣压壓脂酐酸素白胆膽肽酶值率数數高降升为為是约約]\s?[:]?\s?$")
"""What a value, and no day, stands behind."""
_PLANNED: Final = re.compile(
    r"(?:改[到至期成为為]|[吃用住停休做拖延]到|[周週][一二三四五六日]\s?\(?|星期[一二三四五六日天]\s?\(?|[伤傷故]日|出[险險]|[报報]案|生效|假[条條单單]:|[置插拔换換]管|更[换換]|透析|原[来來定]|[上下]次|下一?[剂劑针針回次]|[预預][约約](?:了|到|在|的是)?|[医醫]?[嘱囑]|[拟擬]|已[于於]|[请病事休]假至?|[延顺順]至|提醒|[生忌]日|[末上]次月[经經]|(?:LMP|EDC|EDD|DOB)|(?:[诊診术術院检檢访訪约約样樣置])[时時][间間]|[诊診术術院忌约約休产產换換签簽][日期]期?|(?:[手][册冊]|病程|[记記][录錄]|日期):|定[在于於]|第[一二三四五六\d]次|(?<![低大小高等位多少超不限介处處归歸属屬])[于於](?:\s?\d{1,2}\.\d{1,2}\s?[、,及和与與])?)\s?:?\s?$"
)
_HEADED: Final = re.compile(
    r"(?:[随隨][访訪]|跟[进進]|[评評][定估][会會]?|[巡查]房|日[志誌记記]|[交值]班(?:表|本|[记記][录錄])?|[会會][议議]|[晤面][谈談]|家[访訪])\s$"
)
"""A heading of what takes place, and a blank."""
_DAYS_OFF: Final = re.compile(r"\s?(?:放假|[停开開][诊診]|休|[住入]院|[请請病事]假|[一二两兩三四五六七八九十]天)")
_SHIFT: Final = re.compile(rf" (?:{WEEKDAY}|{DAY_PART}|[值交夜白]班)")
_SOMEBODY: Final = re.compile(r"\s?(?:家[属屬]|患者|病人|[其][父母妻夫子女])(?:[来來到至要称稱签簽自因]|[电電])")
_IN_BRACKETS: Final = re.compile(r"\s?(?:[置植插拔换換入出行起止测測停记記留]|复查|開始|开始)")


def _told(match: re.Match[str]) -> bool:
    """Whether what stands beside two numbers says that they are a day."""
    text, start, end = match.string, match.start(), match.end()
    if min(int(match["a"]), int(match["b"])) > 12 or NO_DATE.match(text, end) or _NO_DAY.match(text, end):
        return False
    if match["mark"] == "-" and "0" in (match["a"][0], match["b"][0]):
        return not SCORE.search(text, max(0, start - 8), start)
    low = max(0, start - 14)
    if match["until"] and (_DAYS_OFF.match(text, end) or text[start - 1 : start] in ("休", "停")):
        return True
    if _PLANNED.search(text, low, start) or _HEADED.search(text, low, start) or SEX_AND_AGE.search(text, low, start):
        return True
    if text[start - 1 : start] == "(" and (
        _IN_BRACKETS.match(text, end) or (text[end : end + 1] == ")" and _BEHIND.match(text, end + 1))
    ):
        return True
    if match["mark"] == "." and text[end : end + 1] == " " and text[start - 1 : start] in ("", "\n"):
        return bool(_SHIFT.match(text, end))  # 3.1 手术适应证 is a section
    if _BEHIND.match(text, end) or _SOMEBODY.match(text, end):
        begins = text.startswith(("起", " 起"), end)  # CRRT 11.18起
        return (begins or not _VALUE.search(text, max(0, start - 3), start)) and not _CHECKED.match(text, end)
    return bool(ENDS.match(text, end) and SIGNED_BY.search(text, low, start))


_COUNTED: Final = re.compile(r" ?(?:[次个個例人份天周週岁歲龄齡-]|小[时時]|分[钟鐘])")
_SPAN: Final = re.compile(r"(?:[每隔满滿第共达達余餘孕龄齡胎×个個]|(?<!\d)\d年)\s?$")
"""What tells, before 3月5, that months are counted."""


def _of_month(match: re.Match[str]) -> bool:
    text, start, end = match.string, match.start(), match.end()
    if _COUNTED.match(text, end):
        return False
    return not _SPAN.search(text, max(0, start - 4), start)


RULES: Final = (
    Rule(
        "jotted day",
        Kind.DATE,
        re.compile(
            rf"(?<![\dA-Za-z.+×~/-])(?:(?<!\d[ :,])|(?<=[男女][ ,]\d\d[ ,]))(?P<a>{DAY_NUMBER})(?P<mark>[.-])(?P<b>{DAY_NUMBER})(?P<until> ?[-~至] ?{MONTH_NUMBER}\.{DAY_NUMBER})?(?![\dA-Za-z%‰℃°~/×*-]|\.\d)"
        ),
        0.73,
        fits=_told,
        needs=".-",
    ),
    Rule(
        "month of a year",
        Kind.DATE,
        re.compile(
            rf"(?<![\dA-Za-z./~+×x-])(?:(?:19|20)\d\d[./-](?:1[0-2]|[1-9])(?=\s?(?:起(?!效)|{EVENT}|[开開]始|[因来來]))|(?<![史病达達余餘共已])(?:1[5-9]|2\d)年(?:1[0-2]|[1-9])月(?={EVENT}|起(?!效)|[因在做于於查检檢发發]|[开開]始))"
        ),
        0.73,
    ),
    Rule(
        "month in letters between strokes",
        Kind.DATE,
        re.compile(
            r"(?<![\w/])(?:3[01]|[12]\d|0?[1-9])([/.])(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\1(?:19|20)?\d\d(?!\w)",
            re.IGNORECASE,
        ),
        0.85,
        needs="/.",
    ),
    Rule(
        "day of a month",
        Kind.DATE,
        re.compile(rf"(?<![\d.])(?:(?:19|20)\d\d年|\d\d年)?{MONTH_NUMBER}\s?月\s?{DAY_NUMBER}(?![\d日号號%]|\.\d)"),
        0.74,
        fits=_of_month,
        needs="月",
    ),
)
"""In no order; `spans.merged` prefers the surer one."""
