"""Multiple-choice questions: the options below the question, and which of them the row says is right."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from medicalgpt.data.formats.columns import Columns, holds, mark_read, peek
from medicalgpt.data.formats.fields import ANSWER_FROM, BadRow, checked_text, find_in
from medicalgpt.data.formats.options import Options

_STRICT: Final = (
    *("answer_idx", "answer_index", "answer_key", "answerkey", "answer_letter", "answer_option", "correct_option"),
    *(
        "correct_answer",
        "correct_choice",
        "correct_idx",
        "correct_index",
        "right_answer",
        "cop",
        "正确答案",
        "正確答案",
    ),
)
_LOOSE: Final = ("correct", "gold", "label")  # many tables have such a column for something else

Letters = tuple[str, ...]
_NOWHERE: Final[Letters] = ()
_NUMBER: Final = re.compile(r"(\d{1,2})(?:\.0)?")
_SEVERAL: Final = re.compile(r"[A-Z](?:\s*[,，、;；/|&+]?\s*[A-Z])+")
_MARKED: Final = re.compile(r"[(（\[]?\s*([A-Za-z])\s*[)）\].．、:：,，]?\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which options are right. `text`: the answer as the row gives it, where that is more than an option or names none."""

    column: str
    letters: Letters
    text: str | None

    @property
    def key(self) -> str:
        """The letters alone, as rewards compare them; without any, the text."""
        return ", ".join(self.letters) or self.text or ""

    def answer(self, options: Options) -> str:
        """What is learned: the row's own words, else the letter with the option's text; of several options the letters."""
        if self.text is not None:
            return self.text
        return options.line(self.letters[0]) if len(self.letters) == 1 else self.key


class UnclearChoice(BadRow):
    """A row whose answer could name several options."""


def with_options(question: str, options: Options) -> str:
    """The question and, a line each, its options, unless they stand in it."""
    return question if options.stand_in(question) else f"{question}\n{options.lines}"


def choice_of(row: Mapping[str, object], options: Options, *groups: Sequence[str]) -> Choice | None:
    """The right options, from all columns that may name them; None where no column says anything.

    Args:
        groups: columns that may hold an answer in words, as `find_in` takes them.

    Raises:
        UnclearChoice: a number without its beginning, or what is both an option's text and another one's letter or number.
        BadRow: columns contradict each other, or name an option that the row does not have.
    """
    answer = find_in(row, groups)
    answer = answer if answer is not None and _says(peek(row, answer)) else None
    keys = [name for name in (*ANSWER_FROM, *_STRICT, *_LOOSE) if name != answer and _says(peek(row, name))]
    if answer is None and not keys:
        return None
    if options.block:
        name = answer or keys[0]
        return Choice(name, (), checked_text(row[name], name))
    possible: set[Letters] | None = None
    numbers, said = False, ""
    text = None
    for name in (*(k for k in keys if k in ANSWER_FROM), *([answer] if answer else []), *keys):
        meant = _meanings(row, name, options)
        if not meant:
            text = checked_text(row[name], name) if name == answer else text
            continue
        both = meant if possible is None else possible & meant
        if not both and name in _LOOSE:
            continue
        if not both:
            raise BadRow(f"{_origin(row, said)} and {_origin(row, name)} name different options")
        if text is not None and len(both) > 1:
            continue  # a number that counts from somewhere, beside an answer in words
        mark_read(row, name)
        possible, said, numbers = both, said or name, numbers or _counts(peek(row, name))
    if possible is not None and len(possible) == 1 and _NOWHERE not in possible:
        return Choice(answer or keys[0], next(iter(possible)), text)
    if text is not None:
        return Choice(answer or keys[0], (), text)
    if possible is None:
        if all(name in _LOOSE for name in keys):
            return None
        raise BadRow(f"{_origin(row, answer or keys[0])} names none of the row's options")
    raise _unclear(row, answer or keys[0], numbers)


def chosen_text(text: str, options: Options) -> str:
    """An answer that is nothing but an option's letter or text, with both; any other as it is."""
    meant = set(_readings(text, options).values())
    only = meant.pop() if len(meant) == 1 else _NOWHERE
    return options.line(only[0]) if len(only) == 1 else text


def _says(value: object) -> bool:
    return holds(value) and value == value  # NaN, as tables have it for nothing, differs from itself


def _meanings(row: Mapping[str, object], name: str, options: Options) -> set[Letters]:
    """What a column may mean; empty for words that are no option. Raises BadRow."""
    value = peek(row, name)
    found = _readings(value, options)
    if name in ANSWER_FROM:
        found = {reading: letters for reading, letters in found.items() if reading in (name, "number")}
    meant = set(found.values())
    bare = isinstance(value, int | float | list) or len(str(value).strip()) == 1 or _number(value) is not None
    if not (meant - {_NOWHERE}) and (bare or name in ANSWER_FROM) and name not in _LOOSE:
        raise BadRow(f"{_origin(row, name)} names none of the row's options")
    return meant if meant - {_NOWHERE} else set()


def _readings(value: object, options: Options) -> dict[str, Letters]:
    """The letters that a value may name, by how it is read; a list is read in one way as a whole."""
    if not isinstance(value, list | tuple):
        return _scalar(value, options)
    parts = [_scalar(part, options) for part in value]
    shared = set(parts[0]).intersection(*parts[1:]) if parts else set()
    found = {}
    for reading in shared:
        pieces = [part[reading] for part in parts]
        whole = {letter for piece in pieces for letter in piece}
        found[reading] = tuple(sorted(whole)) if all(pieces) else _NOWHERE
    return found


def _scalar(value: object, options: Options) -> dict[str, Letters]:
    number, text, letters = _number(value), str(value).strip(), list(options.texts)
    found: dict[str, Letters] = {}
    if number is not None and options.numbers:
        letter = options.numbers.get(str(number))
        found["number"] = (letter,) if letter in options.texts else _NOWHERE
    elif number is not None:
        for first, reading in enumerate(ANSWER_FROM):
            place = number - first
            found[reading] = (letters[place],) if 0 <= place < len(letters) else _NOWHERE
    if isinstance(value, str) and (named := _named(text, options)):
        found["letter"] = named
    same = tuple(letter for letter, option in options.texts.items() if option == text)
    if len(same) == 1:
        found["text"] = same
    return found


def _named(text: str, options: Options) -> Letters:
    """The options that a text names by letter and does nothing else: "B", "(b)", "B. Ibuprofen", "ACD", "A, C"."""
    marked = _MARKED.fullmatch(text)
    if marked and (letter := marked[1].upper()) in options.texts and marked[2].strip() in ("", options.texts[letter]):
        return (letter,)
    letters = re.findall("[A-Z]", text) if _SEVERAL.fullmatch(text) else []
    ordered = letters == sorted(set(letters)) and all(letter in options.texts for letter in letters)
    return tuple(letters) if ordered else _NOWHERE


def _number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    found = _NUMBER.fullmatch(str(value).strip())
    return int(found[1]) if found and found[1].isascii() else None


def _counts(value: object) -> bool:
    return _number(value[0] if isinstance(value, list) else value) is not None


def _origin(row: Mapping[str, object], name: str) -> str:
    """The column's name in the file."""
    return row.origins.get(name, name) if isinstance(row, Columns) else name


def _unclear(row: Mapping[str, object], name: str, numbers: bool) -> UnclearChoice:
    if numbers:
        name = _origin(row, name)
        return UnclearChoice(
            f"{name} is a number, and nothing says whether it counts the options from 0 or from 1; set "
            f"data.columns={{answer_from_0: {name}}} or data.columns={{answer_from_1: {name}}}"
        )
    return UnclearChoice(f"{_origin(row, name)} is the text of one option and the letter of another; write the letter")
