"""English dates, and ages over 89 (HIPAA Safe Harbor keeps years and ages up to 89)."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule, en_labeled

_NO: Final = r"(?<![\w])"
_END: Final = r"(?![\w])"
_MONTH: Final = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
_DAY: Final = r"(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_YEAR: Final = r"(?:'?\d{2}|(?:18|19|20)\d{2})(?!\d)"
RULES: Final = (
    Rule(
        "month day year",
        Kind.DATE,
        re.compile(rf"{_NO}{_MONTH}\s{{0,2}}{_DAY}(?:(?:\s?,\s?|\s{{1,2}}|\s?/\s?){_YEAR})?{_END}", re.IGNORECASE),
        0.9,
    ),
    Rule(
        "day month year",
        Kind.DATE,
        re.compile(
            rf"{_NO}(?:the\s)?{_DAY}[\s-]{{1,2}}(?:of\s)?{_MONTH}(?:[\s,-]{{1,2}}{_YEAR})?{_END}", re.IGNORECASE
        ),
        0.9,
    ),
    Rule(
        "month year",
        Kind.DATE,
        re.compile(rf"{_NO}{_MONTH},?\s(?:of\s)?(?:18|19|20)\d{{2}}{_END}", re.IGNORECASE),
        0.88,
    ),
    Rule(
        "numeric date",
        Kind.DATE,
        re.compile(
            r"(?<![\w./-])(?:1[0-2]|0?[1-9])([/-])(?:3[01]|[12]\d|0?[1-9])\1(?:'?\d{2}|(?:18|19|20)\d{2})(?![\w/-])"
        ),
        0.9,
    ),
    Rule(
        "european date",
        Kind.DATE,
        re.compile(r"(?<![\w./-])(?:3[01]|[12]\d|0?[1-9])([/.-])(?:1[0-2]|0?[1-9])\1(?:18|19|20)\d{2}(?![\w/-])"),
        0.9,
    ),
    Rule(
        "iso date",
        Kind.DATE,
        re.compile(r"(?<![\w./-])(?:18|19|20)\d{2}([-/.])(?:1[0-2]|0?[1-9])\1(?:3[01]|[12]\d|0?[1-9])(?![\d/-])"),
        0.9,
    ),
    Rule(
        "day of a month",
        Kind.DATE,
        re.compile(
            r"(?:\bon|\bsince|\buntil|\bdated|\bseen|\badmit(?:ted)?|\bDOB:?)\s{1,2}(?P<v>(?:1[0-2]|0?[1-9])/(?:3[01]|[12]\d|0?[1-9]))(?![\w/%])",
            re.IGNORECASE,
        ),
        0.8,
    ),
    Rule(
        "labeled date",
        Kind.DATE,
        en_labeled(
            r"DOB|D\.O\.B\.?|date of birth|birth ?date|born(?: on)?|date of (?:admission|discharge|death|service)",
            r"\d{1,4}[-/. ]\d{1,2}(?:[-/. ]\d{2,4})?|\d{8}",
        ),
        0.95,
    ),
    Rule(
        "age over 89",
        Kind.AGE,
        re.compile(
            r"(?<![\w.])(?:9\d|1[01]\d)(?=(?:\s|-)?(?:years?|yrs?|y)?(?:\s|-|/)?(?:old|of age|yo\b|y/?o\b|[MF]\b))",
            re.IGNORECASE,
        ),
        0.9,
    ),
    Rule(
        "labeled age over 89",
        Kind.AGE,
        re.compile(r"(?:\bage[d:]?|\bturned|\bturning)\s{0,2}(?P<v>9\d|1[01]\d)(?![\d%./-])", re.IGNORECASE),
        0.85,
    ),
    Rule(
        "written age over 89",
        Kind.AGE,
        re.compile(
            r"\b(?P<v>ninety(?:[ -](?:one|two|three|four|five|six|seven|eight|nine))?|(?:one|a) hundred(?: and (?:one|two|three|four|five))?)(?=[ -]years?[ -]old)",
            re.IGNORECASE,
        ),
        0.85,
    ),
)
