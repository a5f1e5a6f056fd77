"""What is never masked: eponyms, ancient authors, drugs, genes, hotlines, public hosts, codes of diseases, doses, laboratory values."""

import re
from functools import cache
from typing import Final

from medicalgpt.phi.en_names import eponym
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.lists import words
from medicalgpt.phi.spans import Span
from medicalgpt.phi.zh_latin_remedies import remedy

NAME_LISTS: Final = ("eponyms", "ancient_authors", "drugs", "genes", "medicines")
_LOOSE: Final = frozenset({"eponyms", "ancient_authors"})
"""Lists an entry of which may leave out the last character of a find where it goes on like that: 葛洪云 is 葛洪, who says; 孔子涵 is not 孔子."""
_GOES_ON: Final = frozenset("云曰言谓謂说說论論注著撰用以治称稱引所之等亦也氏方汤湯病征徵症")
_WORDLIKE: Final = frozenset({Kind.NAME, Kind.ADDRESS, Kind.ORGANIZATION})
_NUMBERS: Final = frozenset(Kind) - _WORDLIKE - {Kind.DATE, Kind.AGE, Kind.EMAIL, Kind.URL, Kind.IP}
ANNOUNCED: Final = 0.9
"""From this confidence on, words beside a find say what it is ("Mr.", "MRN:"): only a kept phrase longer than it outweighs them."""

# ICD-9, ICD-10 and ICD-11 codes: C50.911, E11.9, I10, 250.00.
ICD: Final = re.compile(r"(?<![\w-])(?:[A-TV-Z]\d{2}(?:\.[\dA-Z]{1,4})?|[EV]?\d{3}\.\d{1,2})(?![\w-])")
MEASURE: Final = re.compile(
    r"(?<![\w.])\d{1,6}(?:[.,]\d{1,4})?(?:\s?[-/~×x]\s?\d{1,6}(?:\.\d{1,4})?)?\s?"
    r"(?:m[gl]|[μµu]g|mcg|kg|g|mmol|[μµu]mol|nmol|pmol|mEq|IU|U|ml|dl|L|mm ?Hg|mm|cm|bpm|%|‰|℃|°[CF]|kcal|mSv|Gy|Hz|毫克|微克|克|毫升|毫米|厘米|公斤|次/分)(?![A-Za-z])"
)
_WORD: Final = re.compile(r"[^\W_]+")
_MARGIN: Final = 24
"""Characters on either side of a find that a kept phrase may reach into."""


@cache
def _entries(name: str) -> tuple[frozenset[str], frozenset[str], int]:
    """Chinese entries, Latin ones (lower case, words joined by single spaces), and how many characters the longest Chinese one has."""
    entries = words(f"keep/{name}")
    han = frozenset(entry for entry in entries if not entry.isascii())
    latin = frozenset(" ".join(_WORD.findall(entry.lower())) for entry in entries if entry.isascii())
    return han, latin, max(map(len, han), default=0)


def kept(folded: str, span: Span) -> str | None:
    """Why a find is no personal data after all: the name of the list that holds it; None where none does."""
    value = folded[span.start : span.end]
    if span.kind is Kind.NAME and span.confidence < ANNOUNCED and eponym(folded, span):
        return "eponyms"
    if span.kind in _WORDLIKE and span.confidence < ANNOUNCED and value.isascii() and remedy(folded, span):
        return "medicines"
    if span.kind is Kind.ORGANIZATION and any(body in value.casefold() for body in words("keep/public_bodies")):
        return "public_bodies"
    if span.kind in _WORDLIKE:
        return next((name for name in NAME_LISTS if _concerned(span, name) and _covered(folded, span, name)), None)
    if span.kind in (Kind.URL, Kind.EMAIL):
        return "public_hosts" if _public(value) else None
    if span.kind in _NUMBERS:
        called = span.kind in (Kind.PHONE, Kind.FAX) or span.confidence < ANNOUNCED
        if called and (re.sub(r"[\s()-]", "", value).upper() in _hotlines() or _part_of_hotline(folded, span)):
            return "hotlines"
        if span.confidence < ANNOUNCED:
            return next(
                (name for name, form in (("icd", ICD), ("measures", MEASURE)) if _matched(form, folded, span)), None
            )
    return None


def _matched(form: re.Pattern[str], folded: str, span: Span) -> bool:
    """Whether a match of `form` near a find covers all of it."""
    near = form.finditer(folded, max(0, span.start - _MARGIN), min(len(folded), span.end + _MARGIN))
    return any(match.start() <= span.start and span.end <= match.end() for match in near)


def _concerned(span: Span, name: str) -> bool:
    """Whether a list may judge a find. 白薇 is an herb and may be a patient: what words announce is no herb."""
    return name != "medicines" or span.source.startswith("lac")


def _covered(folded: str, span: Span, name: str) -> bool:
    """Whether an entry of a list covers a find, or more than it where words announce the find."""
    han, latin, longest = _entries(name)
    more = 1 if span.confidence >= ANNOUNCED else 0
    less = 1 if name in _LOOSE and folded[span.end - 1] in _GOES_ON else 0
    length = span.end - span.start
    for start in range(max(0, span.end - longest), span.start + 1):
        for end in range(span.end - less * (1 - more), min(len(folded), start + longest) + 1):
            if end - start >= length - less + (less + 1) * more and folded[start:end] in han:
                return True
    return _latin_covers(folded, span, latin, more)


def _latin_covers(folded: str, span: Span, latin: frozenset[str], more: int) -> bool:
    if not folded[span.start : span.end].isascii():
        return False  # a phrase would hold what is not of its letters
    low = max(0, span.start - _MARGIN)
    near = [
        (m.start() + low, m.end() + low, m.group().lower()) for m in _WORD.finditer(folded[low : span.end + _MARGIN])
    ]
    inside = [i for i, (start, end, _) in enumerate(near) if start < span.end and span.start < end]
    if not inside:
        return False
    first, last = inside[0], inside[-1]
    for i in range(max(0, first - 2), first + 1):
        for j in range(last, min(len(near), last + 3)):
            phrase = " ".join(word for _, _, word in near[i : j + 1])
            if j - i >= last - first + more and (phrase in latin or phrase.removesuffix(" s") in latin):
                return True
    return False


@cache
def _hotlines() -> frozenset[str]:
    return frozenset(re.sub(r"[\s()-]", "", entry).upper() for entry in words("keep/hotlines"))


@cache
def _lettered() -> list[str]:
    """Hotlines that end in letters: 1-800-273-TALK."""
    return [entry for entry in words("keep/hotlines") if entry[-1].isalpha()]


def _part_of_hotline(folded: str, span: Span) -> bool:
    """Whether a find is part of a hotline that ends in letters."""
    for entry in _lettered():
        at = folded.find(entry, max(0, span.start - len(entry)), span.end + len(entry))
        if 0 <= at <= span.start and span.end <= at + len(entry):
            return True
    return False


def _public(value: str) -> bool:
    host = re.sub(r"^(?:\w+://)?(?:[^@/]*@)?", "", value.lower()).partition("/")[0].partition(":")[0]
    return any(host == entry or host.endswith(f".{entry}") for entry in words("keep/public_hosts"))
