"""The options of a multiple-choice question, however a data set keeps them: in a list, an object, columns of their own, or a text."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from medicalgpt.data.formats.columns import OPTIONS, holds, mark_read, option_place, peek, shown
from medicalgpt.data.formats.fields import BadRow, checked_text, decoded, type_name

MOST: Final = 26
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MARK: Final = r"[(（\[]?\s*{}\s*[)）\].．、:：,，]"
_LINE: Final = re.compile(r"\s*[(（\[]?([A-Z])(?:\s*[)）\].．、:：]|\s)\s*(\S.*)")
_KEYS: Final = ("key", "label", "letter", "id", "aid")
_TEXTS: Final = ("value", "text", "content", "option", "atext")


@dataclass(frozen=True, slots=True)
class Options:
    """`texts` by letter, in order; `numbers`: letters by the numbers that the row itself gives its options; `block`: options
    that stand in one text which cannot be taken apart, and which then is all there is."""

    texts: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    block: str = ""

    @property
    def lines(self) -> str:
        """As they are put below a question."""
        return self.block or "\n".join(self.line(letter) for letter in self.texts)

    def line(self, letter: str) -> str:
        """One option with its letter."""
        return f"{letter}. {self.texts[letter]}"

    def stand_in(self, question: str) -> bool:
        """Whether a question repeats them all, each behind its letter."""
        if self.block:
            return self.block.strip() in question
        return all(
            re.search(rf"(?<![A-Za-z]){letter}[\s)）\].．、:：,，]*{re.escape(text.strip())}", question)
            for letter, text in self.texts.items()
        )


def options_of(row: Mapping[str, object]) -> Options | None:
    """The options of a row, None where it has none.

    Raises:
        BadRow: options of another form, or two sets of them that differ.
    """
    found: list[tuple[list[str], Options]] = []
    for name in OPTIONS:
        if holds(peek(row, name)) and (options := _from_value(peek(row, name), name)):
            found.append(([name], options))
    found += [(names, options) for names in _column_groups(row) if (options := _from_columns(row, names))]
    if not found:
        return None
    if any(options.texts != found[0][1].texts for _, options in found):
        several = " and ".join(repr(names[0]) for names, _ in found)
        raise BadRow(f'{several} hold different options; choose with data.columns={{options: NAME}}, or "-" for none')
    for names, _ in found:
        mark_read(row, *names)
    return found[0][1]


def _column_groups(row: Mapping[str, object]) -> list[list[str]]:
    """Columns that hold one option each: at least the first two, under the same name but for letter or number."""
    groups: dict[tuple[str, bool], dict[str, str]] = {}
    for name in row:
        if place := option_place(name):
            stem, end = place
            groups.setdefault((stem, end.isdecimal()), {})[end] = name
    found = []
    for (_, numbered), names in groups.items():
        ends = sorted(names, key=int) if numbered else sorted(names)
        first = [int(end) for end in ends] if numbered else [ord(end) - ord("a") for end in ends]
        if first[0] <= numbered and len(first) > 1 and first == list(range(first[0], first[0] + len(first))):
            found.append([names[end] for end in ends])
    return found


def _from_columns(row: Mapping[str, object], names: list[str]) -> Options | None:
    keyed = [((option_place(name) or ("", ""))[1], peek(row, name)) for name in names]
    if sum(_text(value, name) is not None for name, (_, value) in zip(names, keyed)) < 2:
        return None
    return _lettered(keyed, names[0])


def _from_value(value: object, name: str) -> Options | None:
    if isinstance(value, str):
        if not value.lstrip().startswith(("[", "{")):
            return _from_text(checked_text(value, name))
        value = decoded(value, name)
    if isinstance(value, Mapping):
        labels, texts = value.get("label"), value.get("text")
        if isinstance(labels, list) and isinstance(texts, list) and len(labels) == len(texts):
            return _lettered(list(zip(labels, texts)), name)
        return _lettered(list(value.items()), name)
    if isinstance(value, list | tuple):
        return _from_list([_entry(item) for item in value], name)
    raise BadRow(f"{name} is {type_name(value)}, not a list or an object of options{_WAY_OUT}")


_WAY_OUT: Final = '; data.columns={options: "-"} says that the row has none'


def _entry(item: object) -> tuple[object, object]:
    """Key and text of an item of a list; the key is None where it has none."""
    if not isinstance(item, Mapping):
        return None, item
    if len(item) == 1:
        return next(iter(item.items()))
    key = next((item[key] for key in _KEYS if key in item), None)
    return key, next((item[key] for key in _TEXTS if key in item), {})


def _from_list(entries: list[tuple[object, object]], name: str) -> Options | None:
    if any(key is not None for key, _ in entries):
        return _lettered(entries, name)
    texts = [_text(value, name) or "" for _, value in entries]
    letters = LETTERS[: len(texts)]
    marked = all(re.match(rf"\s*{_MARK.format(letter)}", text) for letter, text in zip(letters, texts))
    if marked:
        texts = [re.sub(rf"^\s*{_MARK.format(letter)}\s*", "", text) for letter, text in zip(letters, texts)]
    return _lettered(list(zip(letters, texts)) if len(texts) <= MOST else entries, name)


def _from_text(text: str) -> Options:
    """Lines that begin with A, B, C … in order; anything else stays the text that it is."""
    lines = [line for line in text.splitlines() if line.strip()]
    found = [match for line in lines if (match := _LINE.fullmatch(line))]
    letters = "".join(match[1] for match in found)
    if 1 < len(found) == len(lines) and LETTERS.startswith(letters):
        return Options({match[1]: match[2].strip() for match in found})
    return Options(block=text.strip("\n"))


def _lettered(keyed: Sequence[tuple[object, object]], name: str) -> Options | None:
    """Options under letters; blank ones are none.

    Raises:
        BadRow: too many of them, keys that are neither letters nor numbers, one key twice, or an option that is no text.
    """
    if len(keyed) > MOST:
        raise BadRow(f"{name} has more than {MOST} options{_WAY_OUT}")
    found = {}
    for key, value in keyed:
        end = _end(key)
        if not end:
            raise BadRow(f"{name} has keys that are neither letters nor numbers{_WAY_OUT}")
        if end in found:
            raise BadRow(f"{name} has an option's letter or number twice")
        found[end] = _text(value, name)
    if len({end.isdecimal() for end in found}) > 1:
        raise BadRow(f"{name} has letters and numbers mixed{_WAY_OUT}")
    if all(end.isdecimal() for end in found):
        numbers = dict(zip(sorted(found, key=int), LETTERS))
        texts = {numbers[end]: text for end in numbers if (text := found[end]) is not None}
        return Options(texts, numbers) if texts else None
    texts = {letter: text for letter in sorted(found) if (text := found[letter]) is not None}
    return Options(texts) if texts else None


def _end(key: object) -> str:
    """The letter (upper case) or number that a key is or ends with, "" for none."""
    plain = str(key).strip().strip("()（）[].．、:：").strip() if isinstance(key, str | int) else ""
    if len(plain) == 1 and plain.isascii() and plain.isalpha():
        return plain.upper()
    if plain.isascii() and plain.isdecimal() and len(plain) <= 2:
        return str(int(plain))
    place = option_place(plain.casefold())
    return (place[1].upper() if place[1].isalpha() else str(int(place[1]))) if place else ""


def _text(value: object, name: str) -> str | None:
    """An option's text; None where it is blank."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return None if isinstance(value, float) and math.isnan(value) else str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise BadRow(f"{shown(name)} has an option that is {type_name(value)}, not text{_WAY_OUT}")
    return checked_text(value, f"an option in {shown(name)}").strip()
