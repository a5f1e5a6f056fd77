"""Check digits. They make a find surer; a number with a wrong one is still personal data."""

import re
from typing import Final

_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_TAIWAN: Final = "ABCDEFGHJKLMNPQRSTUVXYWZIO"


def _plain(value: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", value).upper()


def resident_id(value: str) -> bool:
    """18 characters of 居民身份证, whose last is the remainder of a weighted sum (GB 11643)."""
    value = _plain(value)
    if not re.fullmatch(r"\d{17}[\dX]", value):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(value, _WEIGHTS, strict=False))
    return "10X98765432"[total % 11] == value[-1]


def luhn(value: str) -> bool:
    """Bank cards: the sum of digits, every second one from the right doubled, ends in 0 (ISO/IEC 7812)."""
    digits = [int(c) for c in _plain(value) if c.isdigit()]
    doubled = sum(sum(divmod(2 * d, 10)) for d in digits[-2::-2])
    return len(digits) >= 12 and (doubled + sum(digits[-1::-2])) % 10 == 0


def taiwan_id(value: str) -> bool:
    """國民身分證 and resident certificates: a letter worth two digits, then a weighted sum that ends in 0."""
    value = _plain(value)
    if not re.fullmatch(r"[A-Z]\d{9}", value):
        return False
    letter = _TAIWAN.index(value[0]) + 10
    digits = [letter // 10, letter % 10, *map(int, value[1:])]
    return sum(d * w for d, w in zip(digits, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1), strict=True)) % 10 == 0


def hong_kong_id(value: str) -> bool:
    """HKID: one or two letters, six digits and a check character; the weighted sum is a multiple of 11."""
    value = _plain(value)
    if not re.fullmatch(r"[A-Z]{1,2}\d{6}[\dA]", value):
        return False
    padded = value.rjust(9)
    worth = [36 if c == " " else ord(c) - 55 if c.isalpha() else int(c) for c in padded]
    return sum(w * (9 - i) for i, w in enumerate(worth)) % 11 == 0
