"""Addresses of the net and of devices, the same in every language."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule


def _address(value: str) -> bool:
    """No list of small numbers such as 2.3.4.5."""
    return any(int(part) > 9 for part in value.split("."))


RULES: Final = (
    Rule(
        "email",
        Kind.EMAIL,
        re.compile(r"(?<![\w.+-])[A-Za-z\d_.+-]{1,64}@[A-Za-z\d-]{1,63}(?:\.[A-Za-z\d-]{1,63}){1,4}"),
        0.99,
    ),
    Rule(
        "url",
        Kind.URL,
        re.compile(r"(?:https?://|ftp://|(?<![\w.@-])www\.)[^\s<>\"'\u3000-\u9fff，。；)]{2,300}", re.IGNORECASE),
        0.97,
    ),
    Rule(
        "social page",
        Kind.URL,
        re.compile(
            r"(?<![\w.@-])(?:facebook|twitter|x|instagram|linkedin|weibo|zhihu|youtube|t)\.(?:com|cn|me)/[\w./@?=-]{2,100}",
            re.IGNORECASE,
        ),
        0.9,
    ),
    Rule(
        "ip",
        Kind.IP,
        re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]\d|\d)"),
        0.9,
        wanted=_address,
    ),
    Rule(
        "ip version 6",
        Kind.IP,
        re.compile(
            r"(?<![\w:])(?:[\da-f]{1,4}:){7}[\da-f]{1,4}(?![\w:])|(?<![\w:])(?:[\da-f]{1,4}:){1,6}:(?:[\da-f]{1,4}:){0,5}[\da-f]{1,4}(?![\w:])",
            re.IGNORECASE,
        ),
        0.9,
        needs=":",
    ),
    Rule(
        "mac",
        Kind.DEVICE,
        re.compile(r"(?<![\w:-])[\da-f]{2}(?:([:-])[\da-f]{2})(?:\1[\da-f]{2}){4}(?![\w:-])", re.IGNORECASE),
        0.9,
    ),
)
