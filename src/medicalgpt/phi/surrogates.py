"""Made-up values of the same form, chosen by a key: the same value, key and scope give the same surrogate."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from medicalgpt.phi.dates import moved
from medicalgpt.phi.fold import fold
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lists import words

_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_TOKEN: Final = re.compile(r"[^\W\d_]+")
LONGEST_SHIFT: Final = 364
"""Days that dates are moved at most, in either direction."""


def same(value: str) -> str:
    """What two ways of writing one value have in common: case, width, spaces and marks do not tell them apart."""
    return re.sub(r"[\W_]+", "", fold(value)).casefold() or value


class Surrogates:
    """Surrogates of one document or one patient.

    Args:
        key: secret; without it, a surrogate tells nothing of what it replaced but its form.
        scope: whose values are the same: another scope gives other surrogates.
    """

    def __init__(self, key: bytes, scope: str) -> None:
        self._key = hmac.digest(key, scope.encode("utf-8", "surrogatepass"), "blake2b")
        pick = self._number("shift", "") % (2 * LONGEST_SHIFT)
        self.days = pick - LONGEST_SHIFT + (pick >= LONGEST_SHIFT)

    def date(self, value: str) -> str | None:
        """A date moved by `days`, never 0; None where its form is not known."""
        return moved(fold(value), self.days)

    def value(self, kind: Kind, value: str) -> str:
        """A made-up value of a kind other than dates."""
        if kind is Kind.NAME:
            return self._name(value)
        if kind is Kind.ADDRESS or kind is Kind.ORGANIZATION:
            return self._place(kind, value)
        if kind is Kind.AGE:
            return re.sub(r"\d{2,3}", "90", fold(value)) if re.search(r"\d{2,3}", fold(value)) else "90"
        if kind is Kind.EMAIL:
            return f"user{self._number(kind, same(value)) % 10**6:06d}@example.org"
        if kind is Kind.URL:
            return f"https://example.org/{self._number(kind, same(value)) % 10**6:06d}"
        if kind is Kind.IP:
            return f"192.0.2.{self._number(kind, same(value)) % 254 + 1}"
        return self._same_form(kind, value)

    def _name(self, value: str) -> str:
        if _HAN.search(value):
            return self._chinese_name(value)
        first, last = words("surrogates/first_names"), words("surrogates/last_names")

        def put(match: re.Match[str]) -> str:
            token = match.group()
            if len(token) == 1:
                return chr(ord("A") + self._number("initial", token.casefold()) % 26)
            given = token.casefold() in words("en/first_names")
            return self._one_of(first if given else last, "token", token.casefold())

        return _TOKEN.sub(put, value)

    def _chinese_name(self, value: str) -> str:
        """A surname for the surname, then a character for each of the given name, so that 王小明 and 小明 stay one person."""
        family = next((s for s in words("zh/surnames") if len(s) == 2 and value.startswith(s)), value[:1])
        given = value[len(family) :]
        new = self._one_of(words("surrogates/zh_surnames"), "surname", family)
        return new + "".join(
            self._one_of(words("surrogates/zh_given"), "given", c) if _HAN.match(c) else c for c in given
        )

    def _place(self, kind: Kind, value: str) -> str:
        chinese = bool(_HAN.search(value))
        name = f"surrogates/{'zh' if chinese else 'en'}_{'places' if kind is Kind.ADDRESS else 'organizations'}"
        return self._one_of(words(name), kind, same(value))

    def _same_form(self, kind: Kind, value: str) -> str:
        """Other digits for digits and other letters for letters; what stands between them stays."""
        stream = hashlib.shake_256(self._key + f"{kind}\x00{same(value)}".encode("utf-8", "surrogatepass")).digest(
            2 * len(value)
        )
        return "".join(_other(c, int.from_bytes(stream[2 * i : 2 * i + 2], "big")) for i, c in enumerate(fold(value)))

    def _number(self, kind: str, value: str) -> int:
        return int.from_bytes(
            hmac.digest(self._key, f"{kind}\x00{value}".encode("utf-8", "surrogatepass"), "blake2b")[:8], "big"
        )

    def _one_of(self, options: Sequence[str], kind: str, value: str) -> str:
        return options[self._number(kind, value) % len(options)]


def _other(c: str, number: int) -> str:
    if c.isdecimal() and c.isascii():
        return str(number % 10)
    if c.isascii() and c.isalpha():
        return chr((ord("A") if c.isupper() else ord("a")) + number % 26)
    return c
