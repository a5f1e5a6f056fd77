"""Which option letters an answer to a multiple-choice question names."""

import re
import unicodedata
from typing import Final, Literal

Letters = frozenset[str]
NONE: Final[Letters] = frozenset()

_MARKUP: Final = re.compile(r"[*_`$]|\\(?:boxed|text|mathrm)(?=\{)")
_BRACES: Final = str.maketrans("{}【】［］", "()()()")
_AND: Final = r"\s*(?:,|、|;|/|&|\+|and|和|與|与|及)\s*"
# One letter, a list of them, or some written together; no letter of a word, and none of "D-dimer" or "C's".
_GROUP: Final = rf"[(\[]?\s*(?:[A-J](?:{_AND}[(\[]?[A-J][)\]]?)+|[A-J]{{2,10}}|[A-J])\s*[)\]]?(?![A-Za-z0-9'’-])"
_SAYS: Final = (
    r"(?:\b(?:[Aa]nswers?|ANSWERS?|[Cc]hoices?|[Oo]ptions?)\b(?:\s+(?:is|are|would be|should be|must be))?"
    r"|\b[Cc]orrect\s+(?:one|letter)\s+is|\b[Ii]\s+(?:choose|pick|select)"
    r"|答案|[選选](?:項|项|擇|择)?|正[確确](?:答案|[選选][項项])?)"
    r"(?:[應应][該该]?)?[是為为選选]*\s*[:=]?\s*(?:[Oo]ption\s+)?"
)
_STATED: Final = re.compile(rf"{_SAYS}({_GROUP})")
_ONLY: Final = re.compile(rf"\s*({_GROUP})\s*[.。)]?\s*")
_LINE: Final = re.compile(
    r"^\s*[(\[]?([A-J])\s*[)\].:、,](?!\w*\.[A-Za-z])(?:\s|$|[^\sA-Za-z])|^\s*[(\[]([A-J])[)\]]", re.MULTILINE
)
_PARENTHESES: Final = re.compile(r"[(\[]\s*([A-J])\s*[)\]]")
# "The answer is A fever" and "I" are words; the letter stands at an end or before a reason.
_END: Final = re.compile(r"\s*(?:$|[.,;:)\]\n。,;、!]|because|since|as\b|\(|[^\x00-\x7f])")


def choice_letters(answer: str, statement: Literal["first", "last"] = "last") -> Letters:
    """The letters A to J that an answer names; none where it says nothing clearly.

    In this order: the last statement ("the answer is B", "答案:B、D", "選 C"), or the first one; an answer that is nothing but
    letters; the one line that begins like an option ("B. Ibuprofen"); the one letter in parentheses.
    """
    text = _plain(answer)
    stated = [m for m in _STATED.finditer(text) if _letters(m.group(1)) and _no_word(text, m)]
    if stated:
        return _letters(stated[0 if statement == "first" else -1].group(1))
    if only := only_letters(answer):
        return only
    lines = {m.group(1) or m.group(2) for m in _LINE.finditer(text)}
    if lines:
        return frozenset(lines) if len(lines) == 1 else NONE
    inside = set(_PARENTHESES.findall(text))
    return frozenset(inside) if len(inside) == 1 else NONE


def only_letters(answer: str) -> Letters:
    """The letters of an answer that is nothing but letters: "B", "(b).", "**C**", "A、C"; of any other none."""
    text = _plain(answer)
    only = _ONLY.fullmatch(text.strip().upper() if len(text.strip()) <= 3 else text)
    return _letters(only.group(1)) if only else NONE


def _plain(answer: str) -> str:
    """An answer without full width and markup."""
    return _MARKUP.sub("", unicodedata.normalize("NFKC", answer)).translate(_BRACES)


def reference_letters(value: object) -> Letters:
    """The letters of a reference: "B", "(B)", "AC", "A, C", ["A", "C"], "B. Ibuprofen", "答案:B". None: it names none."""
    if isinstance(value, list | tuple):
        parts = [reference_letters(one) for one in value]
        return frozenset().union(*parts) if all(parts) else NONE
    if not isinstance(value, str):
        return NONE
    text = unicodedata.normalize("NFKC", value).strip()
    if len(text) <= 10 and (only := _ONLY.fullmatch(text.upper())):
        return _letters(only.group(1))
    return choice_letters(text)


def _no_word(text: str, found: re.Match[str]) -> bool:
    return found.group(1).strip() not in ("A", "I") or _END.match(text, found.end()) is not None


def _letters(group: str) -> Letters:
    """The letters of a group; none of a word in capitals, whose letters are not in the order of options."""
    found = re.findall("[A-J]", re.sub("and", "", group))
    together = re.search("[A-J]{2}", group) is not None
    if together and found != sorted(set(found)):
        return NONE
    return frozenset(found)
