"""What every match of a regular expression must hold, read from its parse tree, so that it cannot be wrong.

A condition is a set of clauses (`grams`) that all must hold. It is a necessary one and no more: what is not known of an
expression only makes it weaker.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, reduce
from typing import Final

from medicalgpt.phi.grams import DIGIT, Clause, cost, implies, plain
from medicalgpt.phi.matched import ANY, LONGEST, NOTHING, UNKNOWN, Chars, Part, joined, one_of, repeated
from medicalgpt.phi.parse_tree import Given, Node, tree_of

WIDEST: Final = 1_500
"""Characters of a range above which it is taken for any character."""
TOO_MANY: Final = 30.0
"""The cost of a clause that hardly any text lacks."""
CLAUSES: Final = 4
"""How many clauses of an expression are kept: those that the fewest texts fulfill."""


class _Reader:
    """Reads a parse tree of `re`. What it does not know may match anything."""

    def __init__(self, never: str) -> None:
        self._never = frozenset(never)

    def sequence(self, items: Sequence[Node]) -> Part:
        """Parts one behind the other. What is asked to stand before or behind stands beside what is matched there."""
        done, left = NOTHING, NOTHING
        clauses: list[Clause] = []
        word = ""
        for number, (code, given) in enumerate(items):
            name = str(code)
            if name == "LITERAL":  # a word at once: most of an expression is words
                word += plain(chr(given))
                if number + 1 < len(items) and str(items[number + 1][0]) == "LITERAL":
                    continue
            if name == "ASSERT" and given[0] > 0:
                clauses += joined(left, self.sequence(given[1])).known()
                continue
            if name == "ASSERT":
                right = self.sequence(items[number + 1 :])
                clauses += joined(self.sequence(given[1]), right).known()
            elif word:
                right, word = self._word(word), ""
            else:
                right = self.part(name, given)
            both = joined(left, right)
            if both.strings is None and left is not NOTHING:
                done, left = joined(done, left), right
            else:
                left = both
            if name == "ASSERT":
                break
        found = joined(done, left)
        return replace(found, clauses=(*found.clauses, *clauses))

    def part(self, name: str, given: Given) -> Part:
        """One node of the tree."""
        match name:
            case "IN":
                return self._chars(self._set(given))
            case "BRANCH":
                return one_of([self.sequence(branch) for branch in given[1]])
            case "SUBPATTERN":
                return self.sequence(given[3])
            case "ATOMIC_GROUP":
                return self.sequence(given)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, tree = given
                return repeated(self.sequence(tree), int(least), int(most))
            case "AT" | "ASSERT_NOT":
                return NOTHING
            case "ANY" | "NOT_LITERAL":
                return ANY
        return UNKNOWN

    def _word(self, word: str) -> Part:
        if len(word) <= LONGEST and not self._never & {*word}:
            return Part.of([word])
        return reduce(joined, [self._chars(frozenset(char)) for char in word])

    def _chars(self, chars: Chars) -> Part:
        return ANY if chars is None or chars & self._never else Part.of(chars)

    def _set(self, items: Iterable[Node]) -> Chars:
        """The characters of a set; None where they are too many to be told."""
        found: set[str] = set()
        for code, given in items:
            match str(code):
                case "LITERAL":
                    found.add(plain(chr(given)))
                case "RANGE" if given[1] - given[0] < WIDEST:
                    found.update(plain("".join(map(chr, range(given[0], given[1] + 1)))))
                case "CATEGORY" if str(given) == "CATEGORY_DIGIT":
                    found.add(DIGIT)
                case "CATEGORY" if str(given) == "CATEGORY_SPACE":
                    found.add(" ")
                case _:
                    return None
        return frozenset(found)


@cache
def clauses(regex: re.Pattern[str], never: str = "") -> tuple[Clause, ...]:
    """Up to `CLAUSES` clauses that hold for each text in which an expression matches; none where nothing is known of it.

    Args:
        regex: any expression; what is not known of it only makes the condition weaker.
        never: characters that no gram may hold, since they do not stand in the text that is asked.
    """
    tree = tree_of(regex)
    if tree is None:
        return ()
    found = {clause for clause in _Reader(never).sequence(tree).known() if clause}
    kept: list[Clause] = []
    for clause in sorted(found, key=lambda clause: (cost(clause), len(clause), min(clause))):
        if cost(clause) < TOO_MANY and not any(implies(other, clause) for other in kept):
            kept.append(clause)
    return tuple(kept[:CLAUSES])
