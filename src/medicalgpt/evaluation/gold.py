"""Which options an item's answer names, as a test says that its answers are written."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from medicalgpt.data.formats import BadRow
from medicalgpt.data.formats.choices import choice_of
from medicalgpt.data.formats.columns import Columns
from medicalgpt.data.formats.fields import ANSWER, REPLIES, find_in
from medicalgpt.data.formats.options import Options

AnswerIs = Literal["auto", "letter", "text", "from_0", "from_1"]
_ANSWERED: Final = (ANSWER, REPLIES)
_SHORT_PARTS: Final = re.compile(r"[\s,，、;；/|&+]+")
_LETTERS: Final = re.compile(r"[A-Za-z]{2,}")
_WHOLE: Final = re.compile(r"(\d+)\.0+")
"""A whole number, as spreadsheets write it."""
_TEXT_PARTS: Final = re.compile(r"\s*[;；|\n]\s*")
_NAMES: Final = {
    "letter": "letters of its options",
    "text": "texts of its options",
    "from_0": "numbers of its options, counted from 0",
    "from_1": "numbers of its options, counted from 1",
}


def right_options(fields: Columns, options: Options, answer_is: AnswerIs) -> tuple[int, ...]:
    """Places of the right options of a row. Raises BadRow where the answer is blank, or names something else."""
    if answer_is == "auto":
        choice = choice_of(fields, options, *_ANSWERED)
        letters = choice.letters if choice is not None else ()
        found = [place for place, letter in enumerate(options.texts) if letter in letters]
    else:
        name = find_in(fields, _ANSWERED)
        found = named_options(fields[name] if name is not None else None, options, answer_is)
    if not found:
        raise BadRow("the answer is none of the options", _expected(answer_is))
    return tuple(found)


def _expected(answer_is: AnswerIs) -> str:
    return "" if answer_is == "auto" else f"answer_is is {answer_is}; allowed: {_NAMES[answer_is]}"


def named_options(value: object, options: Options, answer_is: AnswerIs) -> list[int]:
    """Places that an answer names; empty where it, or a part of it, is no option.

    Several right options: a list, or one text with marks between them (letters also without: "AC"; texts: ; | or a line
    each).
    """
    names = _names(options, answer_is)
    if isinstance(value, list | tuple):
        parts: list[object] = list(value)
    else:
        text = str(value).strip() if value is not None else ""
        if text in names:
            return [place for place, name in enumerate(names) if name == text]
        parts = [*_parts(text, answer_is)]
    wanted = [_WHOLE.sub(r"\1", str(part).strip()) for part in parts]
    if answer_is == "letter":
        wanted = [part.strip("()（）[].").upper() for part in wanted]
    if len(set(wanted)) < len(wanted) or any(part not in names for part in wanted):
        return []
    return [place for place, name in enumerate(names) if name in wanted]


def _names(options: Options, answer_is: AnswerIs) -> Sequence[str]:
    count: Mapping[str, int] = {"from_0": 0, "from_1": 1}
    if answer_is in count:
        return [str(place + count[answer_is]) for place in range(len(options.texts))]
    return list(options.texts) if answer_is == "letter" else [text.strip() for text in options.texts.values()]


def _parts(text: str, answer_is: AnswerIs) -> list[str]:
    """A text as the options that it names. An option's text may hold any sign, so few divide texts."""
    if answer_is == "text":
        return _TEXT_PARTS.split(text)
    if whole := _WHOLE.fullmatch(text):
        return [whole[1]]
    if answer_is == "letter" and _LETTERS.fullmatch(text):
        return list(text)
    return [part for part in _SHORT_PARTS.split(text) if part]
