"""The catalogue of one language: finished English texts to texts of that language, values carried over."""

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from medicalgpt.language.choice import Language
from medicalgpt.language.pattern import Pattern, numbers, parse

_HERE: Final = Path(__file__).parent
_LONGEST: Final = 20_000  # characters; a longer text is no message of ours
_DEEPEST: Final = 4  # a message in a message in a message
_MOST_LOOKUPS: Final = 300  # of one text: hostile values cost no more than this
ONE_WORD: Final = frozenset({"expected", "expected_words", "script", "type", "type_words", "unit"})
"""Places in which a single word is ours, such as the name of a type or script; elsewhere it may be a column or file of the user."""
_COMMAND = re.compile(r"medicalgpt( [a-z-]+){1,2}")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_PROSE = re.compile(r"(?<![\w/.=-])[A-Za-z]?[a-z]+(?: [a-z]+)+(?![\w/])")
_BEGINS: Final = ("; ", ". ", " (", ", ")  # a hint behind a value
_MARKS: Final = {"\n": "\n", "; ": "；", ", ": "，"}
_CHINESE = re.compile("[\u4e00-\u9fff]")  # a value that was translated before, or a name of the user's
_INDENT = re.compile(r"(\s*(?:- )?)(.*)", re.DOTALL)
_AT = re.compile(
    r"([^\s:]*[/.=][^\s:]*(?::\d+)?): ([^\n]* [^\n]*)"
)  # a file, its line or a key, before what is said of it


class Catalogue:
    """Templates of one language and their translations.

    Args:
        entries: translation by English template; both have the same places.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._exact: dict[str, str] = {}
        patterns: list[tuple[Pattern, str]] = []
        for template, translation in entries.items():
            for text in numbers(template):
                pattern = parse(text)
                if pattern.names:
                    patterns.append((pattern, translation))
                else:
                    self._exact[pattern.literals[0]] = "".join(parse(translation).literals)
        self._patterns = sorted(patterns, key=lambda entry: -entry[0].weight)

    def known(self, text: str) -> str:
        """A text that is known word for word, with no values in it; any other one as it is."""
        return self._exact.get(text, text)

    def translate(self, text: str, words: bool = False) -> str:
        """A finished text in this language; English where any part of it is not known, for half a sentence helps nobody.

        Args:
            words: single words within it are ours, and no names of the user's.
        """
        if len(text) > _LONGEST:
            return text
        look = _Lookup(self._exact, self._patterns)
        bare = text.lstrip(" ")
        if bare != text and (told := look.text(bare, 0, words)) is not None:
            return text[: len(text) - len(bare)] + told
        found = look.text(text, 0, words)
        return text if found is None else found


class _Lookup:
    """The translation of one text, with what it may cost."""

    def __init__(self, exact: Mapping[str, str], patterns: Iterable[tuple[Pattern, str]]) -> None:
        self._exact, self._patterns = exact, patterns
        self._known: dict[tuple[str, bool], str | None] = {}
        self._left = _MOST_LOOKUPS

    def text(self, text: str, depth: int, words: bool) -> str | None:
        """A message, or parts that are each a message; None where it is not known.

        Args:
            words: a single word of ours is one, too, and no name of the user's.
        """
        key = text, words
        if key not in self._known:
            self._left -= 1
            if self._left < 0 or depth > _DEEPEST or not (words or depth == 0 or " " in text):
                return None
            self._known[key] = None  # while it is looked for
            self._known[key] = (
                (self._parts(text, depth, words, all_ours=True) if depth else None)
                or self._parts(text, depth, words, all_ours=True, marks="\n")
                or self._at_place(text, depth, words)
                or self._counted(text, depth, exact=True)
                or self._message(text, depth, words)
                or self._parts(text, depth, words)
                or self._counted(text, depth)
            )
        return self._known[key]

    def _at_place(self, text: str, depth: int, words: bool) -> str | None:
        """A message of ours behind a file, its line or a key, which no place of that message swallows."""
        found = _AT.fullmatch(text)
        told = self.text(found[2], depth, words) if found else None
        return None if found is None or told is None else f"{found[1]}：{told}"

    def _message(self, text: str, depth: int, words: bool) -> str | None:
        if (known := self._exact.get(text)) is not None:
            return known
        for pattern, translation in self._patterns:
            if (found := pattern.values(text)) is None or not pattern.closes(found):
                continue
            values = {
                name: value
                for touching, both in zip(pattern.names, found)
                for name, value in self._apart(touching, both, depth)
            }
            told = {
                name: value if name in pattern.quoted else self._value(value, depth + 1, words or _is_ours(name))
                for name, value in values.items()
            }
            # A template that has no words of its own says something only if a value of it does.
            if None not in told.values() and (pattern.has_words or told != values):
                return translation.format(**told)
        return None

    def _apart(self, names: Sequence[str], value: str, depth: int) -> Iterator[tuple[str, str]]:
        """The values of places that touch: the first ends where a text of ours begins, else it is all of it."""
        first, *rest = names
        cuts = (at for mark in _BEGINS for at in _all(mark, value)) if rest else ()
        cut = next((at for at in cuts if self.text(value[at:], depth + 1, False) is not None), len(value))
        yield first, value[:cut]
        if rest:
            yield from self._apart(rest, value[cut:], depth)

    def _parts(
        self, text: str, depth: int, words: bool, all_ours: bool = False, marks: Container[str] = frozenset(_MARKS)
    ) -> str | None:
        """Lines, each on its own under its indent; clauses behind semicolons or commas likewise, if any or all of them are ours."""
        for mark, joined in _MARKS.items():
            if mark in text and mark in marks:
                parts = text.split(mark)
                told = [self._indented(part, depth, words) for part in parts]
                same = sum(part == other for part, other in zip(parts, told))
                if None in told or same > (0 if all_ours else len(parts) - 1):
                    continue
                return joined.join(part for part in told if part is not None)
        return None

    def _counted(self, text: str, depth: int, exact: bool = False) -> str | None:
        """A message of ours behind how often it came: "3 the answer is missing"; with `exact` one without places."""
        count, _, rest = text.partition(" ")
        if not count.replace(",", "").isdecimal():
            return None
        if (
            exact and " " not in rest
        ):  # a unit: "512 tokens" has a template of its own, and a bare word may be a heading
            return None
        told = self._exact.get(rest) if exact else self.text(rest, depth + 1, False)
        return None if told is None else f"{count} {told}"

    def _indented(self, part: str, depth: int, words: bool) -> str | None:
        found = _INDENT.fullmatch(part)
        indent, rest = (found[1], found[2]) if found else ("", part)
        told = self._value(rest, depth + 1, words)
        return None if told is None else indent + told

    def _value(self, value: str, depth: int, words: bool) -> str | None:
        """A value as it stands in the translation: translated where it is a text of ours, kept where it is no English clause."""
        if not value.strip():
            return value
        found = self.text(value, depth, words)
        return found if found is not None else None if is_prose(value) else value


def _is_ours(name: str) -> bool:
    """Whether a single word in a place of that name is ours."""
    return name.rstrip("0123456789") in ONE_WORD


def _all(mark: str, text: str) -> Iterator[int]:
    """Where a mark stands in a text."""
    at = text.find(mark)
    while at >= 0:
        yield at
        at = text.find(mark, at + 1)


def is_prose(value: str) -> bool:
    """Whether a value reads as English: two words in a row that are neither quoted nor a command."""
    return not _CHINESE.search(value) and _PROSE.search(_COMMAND.sub(" ", _QUOTED.sub(" ", value))) is not None


@cache
def catalogue(language: Language) -> Catalogue:
    """The catalogue that is shipped for a language."""
    entries: dict[str, str] = json.loads((_HERE / f"{language}.json").read_text(encoding="utf-8"))
    return Catalogue(entries)
