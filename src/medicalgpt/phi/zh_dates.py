"""Chinese dates of both calendars, and ages over 89."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule, zh_labeled

RULES: Final = (
    Rule("date", Kind.DATE, re.compile(r"(?<!\d)(?:18|19|20)\d{2}\s?年\s?\d{1,2}\s?月(?:\s?\d{1,2}\s?[日号號])?"), 0.9),
    Rule(
        "numeric date",
        Kind.DATE,
        re.compile(
            r"(?<![\d./-])(?:19|20)\d{2}\s?([-/.])\s?(?:1[0-2]|0?[1-9])\s?\1\s?(?:3[01]|[12]\d|0?[1-9])(?![\d/-]|\.\d)"
        ),
        0.9,
    ),
    Rule(
        "month",
        Kind.DATE,
        re.compile(
            r"(?<![\dA-Za-z./~+×x-])(?:19|20)\d{2}([-./])(?:0[1-9]|1[0-2])(?![\dA-Za-z%‰℃°μ/×*]|[-.,~]\d|\s?[a-zA-Zμ%‰个個例人次元])"
        ),
        0.72,
    ),
    Rule(
        "day",
        Kind.DATE,
        re.compile(
            r"(?<![\d.])(?:(?:\d{2}|1[01]\d)\s?年\s?)?(?:1[0-2]|0?[1-9])\s?月(?:\s?(?:3[01]|[12]\d|0?[1-9])\s?[-~至到、])?\s?(?:3[01]|[12]\d|0?[1-9])\s?[日号號](?:\s?[-~至到]\s?(?:3[01]|[12]\d|0?[1-9])\s?[日号號])?"
        ),
        0.8,
    ),
    Rule(
        "month of a short year",
        Kind.DATE,
        re.compile(r"(?<![\d.])(?:0\d|[89]\d|1[01]\d)\s?年\s?(?:1[0-2]|0?[1-9])\s?月(?![\d龄齡])"),
        0.72,
    ),
    Rule(
        "republican date",
        Kind.DATE,
        re.compile(
            r"(?:民[国國]\s?)(?:\d{1,3}|[〇零一二三四五六七八九十百]{1,6})\s?年(?:\s?[\d〇零一二三四五六七八九十]{1,3}\s?月(?:\s?[\d〇零一二三四五六七八九十]{1,3}\s?[日号號])?)?"
        ),
        0.9,
    ),
    Rule(
        "written date",
        Kind.DATE,
        re.compile(
            r"[一二][〇零○O九][〇零○O一二三四五六七八九]{2}年(?:[一二三四五六七八九十]{1,2}月(?:[一二三四五六七八九十]{1,3}[日号號])?)"
        ),
        0.9,
    ),
    Rule(
        "labeled date",
        Kind.DATE,
        zh_labeled(
            r"(?:出生|就[诊診]|入院|出院|[检檢]查|[报報]告|手[术術]|住院|[签簽]字|[记記][录錄]|采集|送[检檢])(?:日期|[时時][间間])|生日|生于|生於",
            r"(?:19|20)\d{2}(?:\d{4}|[-/.年]\d{1,2}(?:[-/.月]\d{1,2}[日号號]?)?)|\d{2}[-/.年]\d{1,2}[-/.月]\d{1,2}日?",
        ),
        0.93,
    ),
    Rule("age over 89", Kind.AGE, re.compile(r"(?<![\d.])(?:9\d|1[01]\d)(?=\s?(?:周[岁歲]|[岁歲]))"), 0.9),
    Rule(
        "written age over 89",
        Kind.AGE,
        re.compile(r"(?:九十[一二三四五六七八九]?|一百[零一二〇]{0,3})(?=多?[岁歲])"),
        0.85,
    ),
)
