"""Characters and short runs of them that a text holds, or does not: what conditions (`necessary`) are made of.

A gram is a character (A), a pair of them that stand side by side (AB), or a run of three to eight digits (000), over the
characters of `plain`: digits are one character, blanks are one, and letters have no case. A clause is a set of grams, of
which a text must hold one at least.
"""

from functools import cache
from itertools import pairwise
from typing import Final

Clause = frozenset[str]
DIGIT: Final = "0"
LONGEST_RUN: Final = 8


class _Plain(dict[int, str]):
    """Each character as grams have it, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if char.isdecimal():
            plain = DIGIT
        elif char.isspace():
            plain = " "
        else:  # the same for all characters that match one another where case is ignored: K and K, s and ſ, i and İ
            plain = char.lower()[0].upper()[0]
        self[code] = plain
        return plain


_PLAIN: Final = _Plain()


def plain(text: str) -> str:
    """A text as grams have it: of the same length."""
    return text.translate(_PLAIN)


def rarest(string: str) -> str:
    """The gram of a string that the fewest texts hold."""
    grams = [a + b for a, b in pairwise(string)] or [string]
    if DIGIT * 3 in string:
        grams.append(next(DIGIT * size for size in range(LONGEST_RUN, 2, -1) if DIGIT * size in string))
    return min(grams, key=lambda gram: (_cost(gram), gram))


@cache
def _cost(gram: str) -> float:
    """About how many texts of a few hundred characters hold a gram: an order, which decides no find."""
    if gram.startswith(DIGIT * 2):
        return 0.8 / len(gram)
    han = sum(char > "\u2e80" for char in gram)
    if len(gram) == 1:
        return 0.2 if han else 0.6
    if not han and " " in gram:
        return 0.4
    return (0.1 if gram.isalpha() else 0.2, 0.02, 0.005)[han]


def cost(clause: Clause) -> float:
    """The same of a clause."""
    return sum(map(_cost, clause))


def implies(one: Clause, other: Clause) -> bool:
    """Whether a text that fulfills one clause fulfills the other."""
    return all(
        gram in other or any(gram[at : at + size] in other for size in range(1, len(gram)) for at in range(2))
        for gram in one
    )
