"""Dates moved by days in the form they were written in."""

import re
from datetime import date, timedelta
from typing import Final

_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_NAMES: Final = "|".join(f"{name[:3]}(?:{name[3:]})?" if name != "september" else "sept?(?:ember)?" for name in _MONTHS)
_Y, _M, _D, _B = r"(?P<y>[12]\d{3})", r"(?P<m>\d{1,2})", r"(?P<d>\d{1,2})", rf"(?P<b>{_NAMES})\.?"
_O = r"(?P<d>\d{1,2})(?P<o>st|nd|rd|th)?"
_YY = r"(?P<y>[12]\d{3}|\d{2})"
_FORMS: Final = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"{_Y}\s?[-/.年]\s?{_M}\s?[-/.月]\s?{_D}\s?[日号號]?",
        rf"(?:民[国國]|ROC)\s?(?P<r>\d{{1,3}})\s?[-/.年]\s?{_M}\s?[-/.月]\s?{_D}\s?[日号號]?",
        rf"(?P<r>1[0-3]\d)\s?[-/.年]\s?{_M}\s?[-/.月]\s?{_D}\s?[日号號]?",
        r"(?P<y>(?:19|20)\d{2})(?P<m>\d{2})(?P<d>\d{2})",
        rf"{_M}\s?[-/.]\s?{_D}\s?[-/.]\s?{_YY}",
        rf"(?P<d>\d{{1,2}})\s?[-/.]\s?(?P<m>\d{{1,2}})\s?[-/.]\s?{_YY}",
        rf"{_B},?\s?(?:of\s)?{_Y}",
        rf"{_B}\s?{_O},?\s?(?:of\s)?'?{_YY}",
        rf"(?:the\s)?{_O}\s?(?:of\s)?[-/]?{_B}[-/,]?\s?'?{_YY}",
        rf"{_B}\s?{_O}",
        rf"(?:the\s)?{_O}\s?(?:of\s)?{_B}",
        rf"{_M}\s?月\s?{_D}\s?[日号號]?",
        rf"{_Y}\s?[-/.年]\s?{_M}\s?月?",
    )
)


def moved(value: str, days: int) -> str | None:
    """A date some days later (earlier where `days` is negative), written as it was; None where its form is not known.

    Missing parts are taken as the 15th and as 2023, which keeps what is written plausible, not exact.
    """
    for form in _FORMS:
        match = form.fullmatch(value)
        found = _date(match) if match else None
        if match and found:
            try:
                return _written(match, found + timedelta(days=days))
            except OverflowError:
                return None
    return None


def _date(match: re.Match[str]) -> date | None:
    part = match.groupdict()
    if part.get("r"):
        year = int(part["r"]) + 1911
    else:
        year = int(part.get("y") or 2023)
        year += (2000 if year < 40 else 1900) if year < 100 else 0
    month = _month(part["b"]) if part.get("b") else int(part["m"])
    try:
        return date(year, month, int(part.get("d") or 15))
    except ValueError:
        return None


def _month(name: str) -> int:
    return next(i for i, full in enumerate(_MONTHS, 1) if full.startswith(name[:3].lower()))


def _written(match: re.Match[str], new: date) -> str:
    """The matched text with its parts replaced, each as wide and as cased as it was."""
    text, parts = match.group(), match.groupdict()
    fresh = {"y": new.year, "r": new.year - 1911, "m": new.month, "d": new.day}
    places = sorted(((match.start(name), name) for name, part in parts.items() if part), reverse=True)
    for start, name in places:
        old = parts[name] or ""
        at = start - match.start()
        if name == "b":
            full = _MONTHS[new.month - 1]
            word = full if len(old) > 3 else full[:3]
            put = word.upper() if old.isupper() else word.capitalize() if old[0].isupper() else word
        elif name == "o":
            put = "th" if 10 < new.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(new.day % 10, "th")
        else:
            number = fresh[name] % 100 if name == "y" and len(old) == 2 else fresh[name]
            put = str(number).zfill(
                len(old) if old.startswith("0") or name == "y" or len(text) == 8 == len(re.findall(r"\d", text)) else 1
            )
        text = text[:at] + put + text[at + len(old) :]
    return text
