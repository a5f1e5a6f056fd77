"""What is known of the strings that a part of a regular expression matches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Final

from medicalgpt.phi.grams import Clause, cost, rarest

MOST_STRINGS: Final = 200
"""How many strings are told one by one; where a part of an expression matches more, its first and last characters are told."""
LONGEST: Final = 40
"""Characters of strings that are told one by one."""
MOST_GRAMS: Final = 10_000

Chars = frozenset[str] | None
"""Characters of `grams.plain`; None: any."""


@dataclass(frozen=True)
class Part:
    """What is known of the strings that a part of an expression matches.

    `strings` are all of them, where they are few. `first` and `last` are the characters they begin and end with, if they are not empty;
    `clauses` hold for a text in which the part matches.
    """

    strings: frozenset[str] | None
    first: Chars
    last: Chars
    empty: bool
    clauses: tuple[Clause, ...] = ()

    @classmethod
    def of(cls, strings: Iterable[str], clauses: Iterable[Clause] = ()) -> "Part":
        """A part that matches these strings."""
        told = frozenset(strings)
        filled = told - {""}
        first, last = frozenset([string[0] for string in filled]), frozenset([string[-1] for string in filled])
        return cls(told, first, last, len(filled) < len(told), tuple(clauses))

    def known(self) -> list[Clause]:
        """All its clauses, also that of its strings."""
        own = [] if self.strings is None or self.empty else [frozenset(map(rarest, self.strings))]
        return [*self.clauses, *own]

    def best(self) -> Clause | None:
        """The clause that the fewest texts fulfill."""
        return min(self.known(), key=cost, default=None)


NOTHING: Final = Part.of([""])
ANY: Final = Part(None, None, None, False)
UNKNOWN: Final = Part(None, None, None, True)


def joined(one: Part, other: Part) -> Part:
    """What is known of one part and another one behind it."""
    if one is NOTHING or other is NOTHING:
        return other if one is NOTHING else one
    if one.strings is not None and other.strings is not None and len(one.strings) * len(other.strings) <= MOST_STRINGS:
        both = frozenset(a + b for a, b in product(one.strings, other.strings))
        if max(map(len, both), default=0) <= LONGEST:
            return Part.of(both, (*one.clauses, *other.clauses))
    clauses = [*one.known(), *other.known()]
    if not one.empty and not other.empty:
        clauses += _across(one.last, other.first)
    first = _either(one.first, other.first) if one.empty else one.first
    last = _either(one.last, other.last) if other.empty else other.last
    return Part(None, first, last, one.empty and other.empty, tuple(clauses))


def _across(last: Chars, first: Chars) -> list[Clause]:
    """The clause of the characters on both sides of a place between two parts; none where they are too many."""
    if last is None or first is None or len(last) * len(first) > MOST_GRAMS:
        return []
    return [frozenset(a + b for a, b in product(last, first))]


def _either(one: Chars, other: Chars) -> Chars:
    return None if one is None or other is None else one | other


def one_of(parts: Sequence[Part]) -> Part:
    """What is known of an alternation."""
    strings = [part.strings for part in parts if part.strings is not None]
    few = len(strings) == len(parts) and sum(map(len, strings)) <= MOST_STRINGS
    if few and not any(part.clauses for part in parts):
        return Part.of(frozenset[str]().union(*strings))
    told = [clause for clause in (part.best() for part in parts) if clause is not None]
    clauses = [frozenset[str]().union(*told)] if len(told) == len(parts) else []
    if few:
        return Part.of(frozenset[str]().union(*strings), clauses)
    first = reduce(_either, (part.first for part in parts))
    last = reduce(_either, (part.last for part in parts))
    return Part(None, first, last, any(part.empty for part in parts), tuple(clauses))


def repeated(part: Part, least: int, most: int) -> Part:
    """What is known of a part that stands `least` to `most` times."""
    if part.strings is not None and most <= LONGEST:
        found, last = frozenset([""] if least == 0 else []), frozenset([""])
        for count in range(1, most + 1):
            if len(last) * len(part.strings) > MOST_STRINGS:
                break
            last = frozenset(a + b for a, b in product(last, part.strings))
            found |= last if count >= least else frozenset()
            if len(found) > MOST_STRINGS or max(map(len, last), default=0) > LONGEST:
                break
        else:
            return Part.of(found, part.clauses if least else ())
    if least == 0:
        return Part(None, part.first, part.last, True)
    # Once and then any number of times: what holds for more of them follows from the first ones.
    some = reduce(joined, [part] * min(least, 8))
    more = least > 8 or most > least
    return Part(None, some.first, _either(some.last, part.last) if more else some.last, part.empty, tuple(some.known()))
