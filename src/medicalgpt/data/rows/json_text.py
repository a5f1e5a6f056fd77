"""Rows of .jsonl (an object a line) and .json (a list of objects, or objects one after another)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from medicalgpt.data.encoding import is_damaged, open_text
from medicalgpt.data.rows.row import Row
from medicalgpt.errors import DataError

_CHUNK = 1 << 20  # characters

NOT_DECODED = "bytes that are no text in the file's encoding"
_LIST_LINE = "a JSON list, not an object (a file that is one list of rows is named .json)"


def jsonl_rows(path: Path, tolerant: bool = False) -> Iterator[Row]:
    """An object a line; blank lines are no rows. A line that is no object becomes a row with a problem.

    `tolerant`: so does a line that does not decode.

    Raises:
        DataError: the file cannot be read or decoded.
    """
    with open_text(path, newline="\n", tolerant=tolerant) as text:
        for number, line in enumerate(text, 1):
            line = line.strip()
            if tolerant and is_damaged(line):
                yield Row(number, None, NOT_DECODED)
            elif line:
                yield _jsonl_row(number, line)


def _jsonl_row(number: int, line: str) -> Row:
    try:
        return _object_row(number, json.loads(line))
    except json.JSONDecodeError as error:  # .msg and .colno only: str(error.doc) is the row
        hint = "; a file that is one list of rows is named .json" if line.startswith("[") else ""
        return Row(number, None, "not valid JSON", f"{error.msg}, column {error.colno}{hint}")
    except (ValueError, RecursionError):
        return Row(number, None, "not usable JSON", "a number too long or lists nested too deep")


def _object_row(number: int, value: object) -> Row:
    if isinstance(value, dict):
        return Row(number, value)
    if isinstance(value, list):
        return Row(number, None, _LIST_LINE)
    return Row(number, None, "JSON, but not an object")


def json_rows(path: Path) -> Iterator[Row]:
    """A list of objects, or objects one after another.

    Raises:
        DataError: the file cannot be read or decoded, or holds a syntax error (nothing after it can be told apart).
    """
    with open_text(path, newline="\n") as text:
        values = _Values(text, path)
        opening = values.peek()
        if opening == "{":
            number = 0
            while values.peek():
                number += 1
                yield _object_row(number, values.take())
        elif opening == "[":
            yield from _list_rows(values)
        elif opening:
            values.fail("it begins with neither '[' nor '{'")


def _list_rows(values: "_Values") -> Iterator[Row]:
    values.skip()
    number = 0
    while values.peek() != "]" or number:
        number += 1
        yield _object_row(number, values.take())
        following = values.peek()
        if following == "]":
            break
        if following != ",":
            values.fail(f"expecting ',' or ']' after row {number}")
        values.skip()
    values.skip()
    if values.peek():
        values.fail("more text after the closing ']'")


class _Values:
    """JSON values one after another from a text stream, holding one chunk or one value at a time."""

    _SPACE = re.compile(r"[ \t\r\n]*")
    _STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
    _DECODER = json.JSONDecoder()

    def __init__(self, text: TextIO, path: Path) -> None:
        self.text, self.path = text, path
        self.buffer, self.at, self.line, self.ended = "", 0, 1, False

    def peek(self) -> str:
        """The next character that is not white space, "" at the end."""
        while True:
            space = self._SPACE.match(self.buffer, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self.buffer) or self.ended:
                return self.buffer[self.at : self.at + 1]
            self._more()

    def skip(self) -> None:
        """Pass over the character that `peek` returned."""
        self.at += 1

    def take(self) -> Any:
        """Decode the next value."""
        self.peek()
        while True:
            try:
                value, end = self._DECODER.raw_decode(self.buffer, self.at)
            except json.JSONDecodeError as error:
                if self.ended or not self._cut_off(error):
                    self.fail(error.msg, error.pos)
            except (ValueError, RecursionError):
                self.fail("a number too long or lists nested too deep")
            else:
                if end < len(self.buffer) or self.ended:  # else a number could go on in the next chunk
                    self.at = end
                    return value
            self._more()

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        """Raise DataError with the line."""
        line = self.line + self.buffer.count("\n", 0, self.at if at is None else at)
        raise DataError(
            f"{self.path}:{line}: not valid JSON: {problem}; allowed: a list of objects, or objects one after another; "
            "correct the file (if each line is an object of its own, name it .jsonl)"
        ) from None

    def _cut_off(self, error: json.JSONDecodeError) -> bool:
        # A value cut by the chunk's end fails there, or where a string without an end begins; any other failure is a real
        # one, and must not make us read the rest of a large file. The longest token, a surrogate pair, has 12 characters.
        open_string = self.buffer.startswith('"', error.pos) and not self._STRING.match(self.buffer, error.pos)
        return open_string or error.pos >= len(self.buffer) - 16

    def _more(self) -> None:
        self.line += self.buffer.count("\n", 0, self.at)
        rest = self.buffer[self.at :]
        chunk = self.text.read(max(_CHUNK, len(rest)))  # doubling keeps the time linear in the value's length
        self.buffer, self.at, self.ended = rest + chunk, 0, not chunk
