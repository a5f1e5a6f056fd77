"""What a parser gives of a document, piece by piece: text, and pages whose text nobody can read."""

from typing import Final, Literal, NamedTuple

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
