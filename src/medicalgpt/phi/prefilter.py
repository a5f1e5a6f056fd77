"""Which rules may find something in a text, or in parts of a long one: most texts hold what is `necessary` for few."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from operator import add, or_
from typing import Final

from medicalgpt.phi.grams import DIGIT, LONGEST_RUN, Clause, plain
from medicalgpt.phi.necessary import clauses
from medicalgpt.phi.reach import FAR, reach
from medicalgpt.phi.rules import Parts, Rule

MARK: Final = "、"
"""What stands for each ideograph in the text of `fold.latin`. No gram of an expression for that text holds it, so that all
of them stand in the folded text, too, and this one alone is asked."""
AFTER: Final = 30_000
"""Characters that are searched with every rule before conditions are worked out, which takes as long as a few times as
many: a message or a note alone is answered at once."""
PART: Final = 256
"""Characters of the parts of a long text. More of them make a rule worth trying oftener, fewer cost more asking."""
BEHIND: Final = 16
"""Characters before a part that count as its own: how far an expression may look back. One that looks further is not asked by parts."""

Tried = Sequence[tuple[Rule, Parts | None]]
"""Rules that are worth trying, and in which parts of a text; None: in all of it."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A rule, the bits that a text must have, and how far its expression looks ahead: in characters, and in parts behind that
    in which it begins (None: that is not known)."""

    needed: int
    rule: Rule
    ahead: int
    parts: int | None


class Prefilter:
    """Rules in groups, and which of each are worth trying in a text.

    Every clause of an expression is a bit; a text has the bits of the clauses it fulfills, and a rule is left out where
    one of its bits is missing. What is left out finds nothing, so that finds are the same with and without.

    Args:
        folded: rules that are tried in folded text.
        words: groups of rules that are tried in that text with a mark for each ideograph (`fold.latin`).
        after: characters of texts for which every rule is worth trying.
    """

    def __init__(self, folded: Sequence[Rule], *words: Sequence[Rule], after: int = AFTER) -> None:
        self._all: tuple[Sequence[Rule], ...] = (folded, *words)
        self._left = after
        self._bits: dict[str, int] = {}
        self._chars: frozenset[str] = frozenset()
        self._pairs: frozenset[str] = frozenset()
        self._groups: list[list[_Asked]] = []

    def worth(self, folded: str) -> list[Tried]:
        """The rules of each group that may find something in a folded text, in their order."""
        if self._left > 0:
            self._left -= len(folded)
            return [[(rule, None) for rule in group] for group in self._all]
        if not self._groups:
            self._work_out()
        text, count = plain(folded), len(folded) // PART
        if count < 2:
            held = self._held(text)
            return [[(a.rule, None) for a in group if a.needed & held == a.needed] for group in self._groups]
        starts = range(0, count * PART, PART)
        parts = [self._held(text[max(0, start - BEHIND) : start + PART + LONGEST_RUN]) for start in starts]
        parts[-1] |= self._held(text[starts[-1] :])
        held = reduce(or_, parts)
        return [
            [
                (asked.rule, where)
                for asked in group
                if asked.needed & held == asked.needed and (where := _where(asked, parts, len(text))) != []
            ]
            for group in self._groups
        ]

    def _held(self, text: str) -> int:
        """The bits of the clauses that a text in the characters of `plain` fulfills."""
        held = [*self._chars.intersection(text), *self._pairs.intersection(map(add, text, text[1:]))]
        if DIGIT * 3 in text:
            runs = (DIGIT * size for size in range(3, LONGEST_RUN + 1))
            held += [run for run in runs if run in text and run in self._bits]
        return reduce(or_, map(self._bits.__getitem__, held), 0)

    def _work_out(self) -> None:
        """Which bits each gram fulfills, and which each rule needs."""
        of: dict[Clause, int] = {}
        bits: defaultdict[str, int] = defaultdict(int)
        groups: list[list[_Asked]] = []
        for number, rules in enumerate(self._all):
            groups.append([])
            for rule in rules:
                needed = 0
                for clause in clauses(rule.regex, MARK if number else ""):
                    bit = of.setdefault(clause, 1 << len(of))
                    needed |= bit
                    for gram in clause:
                        bits[gram] |= bit
                groups[-1].append(_asked(rule, needed))
        self._chars = frozenset(gram for gram in bits if len(gram) == 1)
        self._pairs = frozenset(gram for gram in bits if len(gram) == 2)
        self._bits = dict(bits)
        self._groups = groups


def _asked(rule: Rule, needed: int) -> _Asked:
    far = reach(rule.regex)
    ahead = far.ahead + 2
    known = ahead < FAR and far.behind <= BEHIND
    return _Asked(needed, rule, ahead, -(-ahead // PART) if known else None)


def _where(asked: _Asked, parts: Sequence[int], size: int) -> Parts | None:
    """In which parts of a text of `size` characters a match of a rule may begin, by the bits of each part; None: anywhere."""
    if asked.parts is None:
        return None
    needed, more = asked.needed, asked.parts
    alive = [needed & reduce(or_, parts[at : at + more + 1]) == needed for at in range(len(parts))]
    found: list[tuple[int, int, int]] = []
    for worth, run in groupby(range(len(parts)), key=alive.__getitem__):
        if worth:
            numbers = list(run)
            end = (numbers[-1] + 1) * PART if numbers[-1] + 1 < len(parts) else size + 1
            found.append((numbers[0] * PART, end, min(size, end + asked.ahead)))
    return None if len(found) == 1 and found[0][:2] == (0, size + 1) else found
