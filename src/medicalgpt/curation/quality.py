"""Is a row good enough to be learned? Rules are data (`rules.yaml` and the section `quality`), and the first one broken is named."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import regex
import yaml

from medicalgpt.config.curation import QualityConfig
from medicalgpt.curation.matching import comparable
from medicalgpt.curation.rows import answers_of, questions_of
from medicalgpt.data.read_row import record_texts
from medicalgpt.data.records import Document, Preference, Record
from medicalgpt.errors import DataError

_NGRAM: Final = 10
_LONGEST: Final = 200_000  # characters of a text that are looked at by patterns; what is longer is a book
_SCRIPTS: Final = {
    "zh": regex.compile(r"\p{Han}"),
    "en": regex.compile(r"\p{Latin}"),
}
_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Looked:
    """A row as rules see it: all of its text, what is asked and what is answered."""

    text: str
    questions: Sequence[str]
    answers: Sequence[str]
    sides: Sequence[str] = ()

    @classmethod
    def at(cls, record: Record) -> "Looked":
        """The row of a record."""
        answers = answers_of(record)
        return cls(
            "\n".join(record_texts(record)),
            questions_of(record),
            () if isinstance(record, Document) else answers,
            answers if isinstance(record, Preference) else (),
        )

    @property
    def ends(self) -> Sequence[str]:
        """What should end as a text does."""
        return self.answers or [self.text]


Rule = tuple[str, Callable[[Looked, QualityConfig], bool]]


@cache
def patterns() -> Mapping[str, regex.Pattern[str]]:
    """The patterns of rules.yaml by the name of their rule."""
    text = (files("medicalgpt.curation") / "rules.yaml").read_text(encoding="utf-8")
    return {
        name: regex.compile("|".join(f"(?:{one})" for one in listed), regex.IGNORECASE | regex.VERSION1)
        for name, listed in yaml.safe_load(text).items()
    }


def broken(record: Record, config: QualityConfig) -> str | None:
    """The name of the first rule that a row breaks; None where it is good.

    Raises:
        DataError: a pattern took too long on the row.
    """
    looked = Looked.at(record)
    try:
        return next((name for name, breaks in RULES if breaks(looked, config)), None)
    except TimeoutError:
        raise DataError(
            f"{record.source}: a rule of quality took longer than {_SECONDS:g} seconds; shorten the row"
        ) from None


def _found(name: str, text: str) -> int:
    """Characters that a rule's pattern finds."""
    return sum(m.end() - m.start() for m in patterns()[name].finditer(text[:_LONGEST], timeout=_SECONDS))


def _too_short(row: Looked, config: QualityConfig) -> bool:
    return len(row.text.strip()) < config.min_chars


def _too_long(row: Looked, config: QualityConfig) -> bool:
    return config.max_chars is not None and len(row.text) > config.max_chars


def _empty_answer(row: Looked, config: QualityConfig) -> bool:
    if config.empty_answers == "keep":
        return False
    asked = {comparable(question) for question in row.questions}
    for answer in row.answers:
        plain = comparable(answer)
        if (plain in asked and plain) or patterns()["empty_answers"].fullmatch(plain):
            return True
    return any(patterns()["empty_answers"].fullmatch(plain) for plain in asked)


def _short_answer(row: Looked, config: QualityConfig) -> bool:
    return any(len(answer.strip()) < config.min_answer for answer in row.answers)


def _damaged(row: Looked, config: QualityConfig) -> bool:
    share = config.damaged_share
    return share < 1 and _found("damaged", row.text) > share * len(row.text)


def _markup(row: Looked, config: QualityConfig) -> bool:
    return config.markup_share < 1 and _found("markup", row.text) > config.markup_share * len(row.text)


def _advert(row: Looked, config: QualityConfig) -> bool:
    return config.adverts == "drop" and patterns()["adverts"].search(row.text[:_LONGEST], timeout=_SECONDS) is not None


def _repeated_lines(row: Looked, config: QualityConfig) -> bool:
    if config.repeated_lines >= 1:
        return False
    lines = [line.strip() for line in row.text.splitlines() if line.strip()]
    seen: set[str] = set()
    again = 0
    for line in lines:
        again += len(line) if line in seen else 0
        seen.add(line)
    return again > config.repeated_lines * sum(map(len, lines))


def _repeated_ngrams(row: Looked, config: QualityConfig) -> bool:
    text = row.text[:_LONGEST]
    count = len(text) - _NGRAM + 1
    if config.repeated_ngrams >= 1 or count < 2 * _NGRAM:
        return False
    distinct = len({text[at : at + _NGRAM] for at in range(count)})
    return count - distinct > config.repeated_ngrams * count


def _symbols(row: Looked, config: QualityConfig) -> bool:
    if config.symbol_share >= 1:
        return False
    plain = sum(char.isalnum() or char.isspace() for char in row.text)
    return len(row.text) - plain > config.symbol_share * len(row.text)


def _other_language(row: Looked, config: QualityConfig) -> bool:
    """Whether no script that is asked for makes up half of the letters; a Chinese character counts as two."""
    if not config.languages:
        return False
    letters = sum(char.isalpha() for char in row.text)
    han = len(_SCRIPTS["zh"].findall(row.text))
    counts = {"zh": 2 * han, "en": len(_SCRIPTS["en"].findall(row.text))}
    return letters > 0 and 2 * sum(counts[name] for name in config.languages) < letters + han


def _cut_off(row: Looked, config: QualityConfig) -> bool:
    if config.cut_off == "keep":
        return False
    return any(patterns()["cut_off"].search(text[-80:], timeout=_SECONDS) for text in row.ends)


def _same_sides(row: Looked, config: QualityConfig) -> bool:
    return len(row.sides) == 2 and comparable(row.sides[0]) == comparable(row.sides[1])


RULES: Final[Sequence[Rule]] = (
    ("too short", _too_short),
    ("too long", _too_long),
    ("damaged text", _damaged),
    ("markup", _markup),
    ("advert", _advert),
    ("empty or copied answer", _empty_answer),
    ("short answer", _short_answer),
    ("repeated lines", _repeated_lines),
    ("repeated n-grams", _repeated_ngrams),
    ("symbols", _symbols),
    ("other language", _other_language),
    ("cut off", _cut_off),
    ("chosen and rejected the same", _same_sides),
)
"""Name and test of every rule, in the order in which they are asked."""
