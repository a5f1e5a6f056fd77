"""What phrases of an answer do (apologize, decline, name a law, offer other help), and where in it they stand."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import yaml

_FILE: Final = Path(__file__).with_name("phrases.yaml")
_CJK: Final = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_LETTER: Final = re.compile(r"[^\W\d_]")
_SENTENCE_END: Final = re.compile(r"[.!?]\s|[。!?]|\n")
_APOSTROPHES: Final = str.maketrans("’‘＇，！？：；", "''',!?:;")
_SPACES: Final = re.compile(r"[^\S\n]+")
_MOST: Final = 20_000
"""Characters of an answer that are looked at from either end: more says nothing new, and costs time."""
WINDOWS: Final = (60, 160, 500)
"""Characters from the beginning, in English; a Chinese character says as much as three of them."""
_TAIL: Final = 400
_PER_CHARACTER: Final = {"en": 1, "zh": 3}
_PAIRS: Final = (("apology", "decline"), ("decline", "purpose"), ("decline", "ethics"), ("decline", "assistant"))


def language_of(text: str) -> str:
    """zh where a fifth of the letters are Chinese characters, else en."""
    start = text[:_MOST]
    letters = len(_LETTER.findall(start))
    return "zh" if letters and len(_CJK.findall(start)) / letters >= 0.2 else "en"


def plain(text: str) -> str:
    """Lower case, plain apostrophes, single spaces; the middle of a very long answer left out."""
    if len(text) > 2 * _MOST:
        text = text[:_MOST] + "\n" + text[-_MOST:]
    return _SPACES.sub(" ", text.lower().translate(_APOSTROPHES)).strip()


@cache
def patterns() -> dict[str, re.Pattern[str]]:
    """A pattern for each group of phrases."""
    groups = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return {name: _pattern(words["en"], words["zh"]) for name, words in groups.items()}


def _pattern(english: list[str], chinese: list[str]) -> re.Pattern[str]:
    ours = "|".join(re.escape(word) for word in sorted(english, key=len, reverse=True))
    theirs = "|".join(re.escape(word) for word in sorted(chinese, key=len, reverse=True))
    return re.compile(rf"(?<![a-z0-9])(?:{ours})(?![a-z])|{theirs}")


def features(text: str) -> dict[str, float]:
    """Which groups of phrases stand where in an answer; only what is there, by name."""
    text, per = plain(text), _PER_CHARACTER[language_of(text)]
    return dict(_features(text, per))


def _features(text: str, per: int) -> Iterator[tuple[str, float]]:
    places = {str(width): text[: width // per] for width in WINDOWS}
    places |= {"tail": text[-(_TAIL // per) :], "first": first_sentence(text)[: 400 // per]}
    for name, pattern in patterns().items():
        for place, part in places.items():
            if pattern.search(part):
                yield f"{name}@{place}", 1.0
        if times := len(pattern.findall(text)):
            yield f"{name}#", min(times, 5) / 5
    first = {name for name, pattern in patterns().items() if pattern.search(places["first"])}
    for one, other in _PAIRS:
        if one in first and other in first:
            yield f"{one}&{other}", 1.0
    if "apology" in first and "decline" not in first:
        yield "apology-decline", 1.0


def first_sentence(text: str) -> str:
    """Up to the end of the first sentence."""
    found = _SENTENCE_END.search(text)
    return text[: found.end()] if found else text
