"""JSON values of a text, one at a time: a file of any size is read in chunks."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from medicalgpt.data.encoding import LONGEST_LINE
from medicalgpt.errors import DataError

CHUNK = 1 << 20  # characters
ALLOWED = "allowed: a list of objects, objects one after another, or one object that holds them in a list or under keys"


class JsonValues:
    """JSON values one after another from a text stream, holding one chunk or one value at a time."""

    _SPACE = re.compile(r"[ \t\r\n]*")
    _STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
    _DECODER = json.JSONDecoder()

    def __init__(self, text: TextIO, path: Path) -> None:
        self.text, self.path = text, path
        self.buffer, self.at, self.line, self.ended = "", 0, 1, False
        self.dropped = 0

    @property
    def passed(self) -> int:
        """How many characters were read so far."""
        return self.dropped + self.at

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

    def items(self) -> Iterator[Any]:
        """The values of the list that begins here."""
        self.skip()
        number = 0
        while self.peek() != "]" or number:
            number += 1
            yield self.take()
            following = self.peek()
            if following == "]":
                break
            if following != ",":
                self.fail(f"expecting ',' or ']' after row {number}")
            self.skip()
        self.skip()

    def names(self) -> Iterator[str]:
        """The names in the object that begins here; whoever gets one takes its value before the next."""
        self.skip()
        if self.peek() != "}":
            while True:
                if self.peek() != '"':
                    self.fail("Expecting property name enclosed in double quotes")
                name: str = self.take()
                if self.peek() != ":":
                    self.fail("Expecting ':' delimiter")
                self.skip()
                yield name
                following = self.peek()
                if following == "}":
                    break
                if following != ",":
                    self.fail("Expecting ',' delimiter")
                self.skip()
        self.skip()

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        """Raise DataError with the line."""
        line = self.line + self.buffer.count("\n", 0, self.at if at is None else at)
        raise DataError(
            f"{self.path}:{line}: not valid JSON: {problem}; {ALLOWED}; correct the file (if each line is an object of its "
            "own, name it .jsonl)"
        ) from None

    def _cut_off(self, error: json.JSONDecodeError) -> bool:
        # A value cut by the chunk's end fails there, or where a string without an end begins; any other failure is a real
        # one, and must not make us read the rest of a large file. The longest token, a surrogate pair, has 12 characters.
        open_string = self.buffer.startswith('"', error.pos) and not self._STRING.match(self.buffer, error.pos)
        return open_string or error.pos >= len(self.buffer) - 16

    def _more(self) -> None:
        self.line += self.buffer.count("\n", 0, self.at)
        self.dropped += self.at
        rest = self.buffer[self.at :]
        if len(rest) > LONGEST_LINE:
            self.fail(f"a row of more than {LONGEST_LINE >> 20} million characters")
        chunk = self.text.read(max(CHUNK, len(rest)))  # doubling keeps the time linear in the value's length
        self.buffer, self.at, self.ended = rest + chunk, 0, not chunk
