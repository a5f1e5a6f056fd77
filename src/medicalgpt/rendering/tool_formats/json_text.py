"""JSON inside running text: where a value ends, whether it is one, and how values are written."""

import json
import re
from typing import Any, Literal

State = Literal["complete", "open", "broken"]

_CLOSES = {"{": "}", "[": "]"}
_INSIDE = r'(?:[^"\\\x00-\x1f]++|\\[^\x00-\x1f])*+'
_TOKEN = re.compile(rf'"{_INSIDE}"|[{{}}\[\]"]')
_STRING_SO_FAR = re.compile(rf'"{_INSIDE}\\?')


def value_end(text: str, start: int) -> tuple[State, int]:
    """Where the object or list that opens at `start` ends.

    Only strings and brackets are followed, so the answer for a text never changes when more text comes: `complete` with
    the place after the last bracket, `broken` with the place of a character that no JSON can have there (a bracket that
    does not match, a line break in a string), or `open` with the length of the text.
    """
    expected: list[str] = []
    for token in _TOKEN.finditer(text, start):
        at, char = token.start(), token.group()
        if char == '"':  # a string without an end
            end = _STRING_SO_FAR.match(text, at).end()  # type: ignore[union-attr]  # it matches any string
            return ("open" if end == len(text) else "broken"), end
        if char in _CLOSES:
            expected.append(_CLOSES[char])
        elif char in _CLOSES.values():
            if expected.pop() != char:
                return "broken", at
            if not expected:
                return "complete", at + 1
    return "open", len(text)


def load(text: str) -> Any:
    """A value that can be written as JSON again.

    Raises:
        ValueError: not JSON, NaN or an infinite number, half of a surrogate pair, or nested too deeply.
    """
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def dump(value: Any) -> str:
    """A value as one line of JSON, Chinese and other characters as they are."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def skip_space(text: str, at: int) -> int:
    """The first place from `at` on that is not blank."""
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def line_end(text: str, at: int, final: bool) -> int | None:
    """The end of the line that `at` stands on, or None while it may go on."""
    end = text.find("\n", at)
    return end if end >= 0 else len(text) if final else None
