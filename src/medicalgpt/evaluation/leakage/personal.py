"""Patterns of personal data in the bytes of a row, so that places are found in its tokens: numbers and addresses, no names."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_NUMBERED: Final = "|".join(
    ("病案号", "病歷號", "病历号", "住院号", "住院號", "门诊号", "门诊號", "就诊卡号", "健保卡號")
).encode()
_PATTERNS: Final[dict[str, re.Pattern[bytes]]] = {
    "id": re.compile(rb"(?<![0-9A-Za-z])(?:[1-9]\d{16}[\dXx]|[A-Z][12]\d{8}|\d{3}-\d{2}-\d{4})(?![0-9A-Za-z])"),
    "phone": re.compile(
        rb"(?<![\d.-])(?:(?:\+?86[ -]?)?1[3-9]\d{9}|09\d{2}-?\d{3}-?\d{3}|0\d{2,3}-\d{7,8}"
        rb"|(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}|\+\d{1,3}(?:[ -]?\d{2,4}){3,4})(?![\d-])"
    ),
    "email": re.compile(rb"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}(?!\w)", re.ASCII),
    "record number": re.compile(
        rb"(?:(?i:\bMRN|\bmedical record (?:number|no\.?)|\bpatient id|\bchart (?:number|no\.?))|" + _NUMBERED + rb")"
        rb"(?:\s|:|#|is|" + "：|是|为|為".encode() + rb"){0,6}(?P<value>[A-Za-z]{0,4}\d{4,16})(?![0-9A-Za-z])"
    ),
}  # fmt: skip


class Place(NamedTuple):
    """Bytes `start` to `end` of a text, and what they seem to be."""

    kind: str
    start: int
    end: int


def places(text: bytes) -> Iterator[Place]:
    """Where a text has what looks like personal data; of one with a label, the number alone."""
    for kind, pattern in _PATTERNS.items():
        for found in pattern.finditer(text):
            group = "value" if "value" in pattern.groupindex else 0
            yield Place(kind, *found.span(group))
