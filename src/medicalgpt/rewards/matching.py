"""When two short texts say the same: the comparison of the rewards `exact` and `contains`."""

import re
import unicodedata
from typing import Final

CJK: Final = "\u2e80-\u2fff\u3040-\ua4cf\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
_EMPHASIS: Final = re.compile("[*_`\"'“”‘’「」『』《》]")
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_UNIT: Final = re.compile(r"(?<=\d) (?=[^\W\d])")
_BESIDE_CJK: Final = re.compile(f" ?([{CJK}]) ?")
_IS_CJK: Final = re.compile(f"[{CJK}]")


def references(value: object) -> list[str]:
    """The texts of a reference: one, or a list of which one has to fit; numbers as text. Empty where it holds none."""
    if isinstance(value, list | tuple):
        return [text for one in value for text in references(one)]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return []
    text = str(value).strip()
    return [text] if folded(text) else []


def folded(text: str) -> str:
    """A text without case, full width, emphasis, quotes, spaces at units and in Chinese, and a full stop at the end.

    Numbers are written one way: "1,000.0" is 1000.
    """
    text = _EMPHASIS.sub("", unicodedata.normalize("NFKC", text).casefold())
    text = _NUMBER.sub(_plain, _THOUSANDS.sub("", text))
    text = _UNIT.sub("", " ".join(text.split()))
    return _BESIDE_CJK.sub(r"\1", text).rstrip(" .。")


def _plain(found: re.Match[str]) -> str:
    whole, _, part = found.group().partition(".")
    part = part.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{part}" if part else "")


def same_text(answer: str, reference: str) -> bool:
    """Whether both are the same when folded."""
    return folded(answer) == folded(reference)


def contains_text(answer: str, reference: str) -> bool:
    """Whether the reference stands in the answer, words as words and numbers as numbers."""
    text, wanted = folded(answer), folded(reference)
    if not wanted:
        return False
    at = text.find(wanted)
    while at >= 0:
        if _free(text, at, at + len(wanted)):
            return True
        at = text.find(wanted, at + 1)
    return False


def _free(text: str, start: int, end: int) -> bool:
    """Whether no word or number goes on at either side. A unit may follow a number, and a word may follow its number."""
    before, first, last, after = text[:start], text[start], text[end - 1], text[end:]
    if _letter(first) and before and _letter(before[-1]):
        return False
    if first.isdigit() and before and (_letter(before[-1]) or re.search(r"(\d|\d\.)$", before)):
        return False
    if _letter(last) and after and (_letter(after[0]) or after[0].isdigit()):
        return False
    return not (last.isdigit() and re.match(r"\d|\.\d", after))


def _letter(sign: str) -> bool:
    return sign.isalpha() and not _IS_CJK.match(sign)
