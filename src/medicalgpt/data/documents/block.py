"""What a parser gives of a document, piece by piece: text, pages whose text nobody can read, or why there is no more."""

import re
from typing import Final, Literal, NamedTuple

from medicalgpt.errors import DataError

_PLACED: Final = re.compile(r"(?: \((?P<part>[^()]*)\))?(?::(?P<at>\d+))?: (?P<reason>.*)", re.DOTALL)
What = Literal["text", "picture", "unreadable"]

LINE: Final = "\n"
BREAK: Final = "\n\n"
LONGEST_BLOCK: Final = 128 << 10
"""Characters of one block; what is longer comes as several."""


class Block(NamedTuple):
    """A piece of a document.

    `place` is its page, or its number among the paragraphs or elements, from 1. `glue` stands between the text before it and its
    own. Of a page that is a "picture", or "unreadable" because its font says of no character what it is, there is no text.
    """

    place: int
    text: str
    glue: str = LINE
    what: What = "text"


def is_power(before: str, raised: str) -> bool:
    """Whether raised characters are the exponent of the number before them, which must not become its digits: 10^9, not 109."""
    return before[-1:].isdigit() and raised.lstrip("+-−–")[:1].isdigit()


def blocks_of(place: int, text: str, glue: str = LINE) -> list[Block]:
    """A text as blocks of bounded length; none where it is blank."""
    text = text.replace("\xad", "")  # where a word may be divided, and is not
    if not text.strip():
        return []
    parts = [text[at : at + LONGEST_BLOCK] for at in range(0, len(text), LONGEST_BLOCK)]
    return [Block(place, part, "" if number else glue) for number, part in enumerate(parts)]


class Unreadable(DataError):
    """A document that cannot be read: the page or line where, the part of it (an Office file has some), and why, without its name."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(problem)
        found = _PLACED.fullmatch(problem.removeprefix(path))
        part, at = (found["part"], found["at"]) if found else (None, None)
        self.reason = found["reason"] if found else problem
        self.number = int(at) if at and not part else 1
        self.where = f"{part}:{at}" if part and at else part or ""
