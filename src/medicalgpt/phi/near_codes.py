"""Codes near people that rules for text of any kind leave: plates, numbers of charts with a letter behind, cards in groups; see `near_people`."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule
from medicalgpt.phi.zh_codes import UNIT, unexplained


def _no_unit(match: re.Match[str]) -> bool:
    return not UNIT.match(match.string, match.end())


RULES: Final = (
    Rule(
        "code near people",
        Kind.OTHER_ID,
        re.compile(
            r"(?<![\dA-Za-z./+_-])(?<!\d[:~,])[A-Za-z]{0,5}[-_]?\d{2,20}(?:[-_]\d{1,12}){0,4}(?:-?[A-Z]\d{0,3})?(?![\dA-Za-z_/-]|\.\d)"
        ),
        0.6,
        fits=unexplained,
        needs="0123456789",
    ),
    Rule(
        "plate near people",
        Kind.VEHICLE,
        re.compile(
            r"(?<![\dA-Za-z./+_-])(?:\d{4}-[A-Z]{2}|[A-Z]{3}-\d{4}|[A-Z]\d-\d{4}|\d{3}-[A-Z]{3})(?![\dA-Za-z_-])|(?<=[车車士巴牌])\s?:?\s?[A-Z]{2,3}[ -]?\d{3,4}(?![\dA-Za-z])"
        ),
        0.66,
        fits=_no_unit,
        needs="0123456789",
    ),
    Rule(
        "number in groups near people",
        Kind.OTHER_ID,
        re.compile(r"(?<![\dA-Za-z./+-])(?<!\d )\d{4}(?: \d{4}){2,4}(?: \d{1,3})?(?![\dA-Za-z])(?! \d)"),
        0.66,
        fits=_no_unit,
        needs="0123456789",
    ),
    Rule(
        "number with a part left out",
        Kind.OTHER_ID,
        re.compile(r"(?<![\dA-Za-z*])\d{1,8}[*＊xX]{2,14}\d{0,4}[Xx]?(?![\dA-Za-z*])"),
        0.66,
        needs="*＊xX",
    ),
    Rule(
        "number with a blank before its check digit",
        Kind.NATIONAL_ID,
        re.compile(r"(?<![\dA-Za-z])[A-Z]{1,2} ?\d{6} ?\([\dA]\)"),
        0.72,
        needs="(",
    ),
)
"""In no order; `spans.merged` prefers the surer one."""
