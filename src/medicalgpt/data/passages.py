"""A long text as passages that follow one another, each cut where the text pauses."""

import re
from typing import Final

SHORTEST: Final = 500  # characters: a passage of less says little about a text
LONGEST: Final = 4_000

# In the order of preference: blank line, line, sentence, word.
_PAUSES = tuple(
    re.compile(p) for p in (r"\n[ \t]*\n\s*", r"\n\s*", r"[.!?][\"”’)]?\s+|[。！？；][”」』）]?\s*", r"\s+")
)


def passages(text: str, share: float) -> list[str]:
    """The text in pieces that give it back when joined.

    A piece is about as long as `share` of the text (or as what `share` leaves, where that is less), within SHORTEST and
    LONGEST. A text of twice SHORTEST has two pieces or more.
    """
    size = int(min(max(min(share, 1 - share) * len(text), SHORTEST), LONGEST))
    found, start = [], 0
    while len(text) - start >= 2 * size:
        end = _pause(text, start + size, min(start + 2 * size, len(text) - size // 2))
        found.append(text[start:end])
        start = end
    return [*found, text[start:]] if start < len(text) else found


def _pause(text: str, start: int, end: int) -> int:
    """Where the first pause of the best kind between `start` and `end` is over; `start` where there is none."""
    for kind in _PAUSES:
        if found := kind.search(text, start, end):
            return found.end()
    return start
