"""Patterns as data: what is looked for, what in it is masked, and what makes a find surer."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.spans import Span

ZH_BETWEEN: Final = r"(?:\s{0,3}(?:[:=是为為#]|号码|號碼|号|號|编号|編號|[(（]\w{1,8}[)）]|No\.?)){0,3}\s{0,4}"
"""What may stand between a Chinese label and its value."""
EN_BETWEEN: Final = r"(?:\s{0,2}(?:is|was|of|no\.?|num(?:ber)?|#|:|=|-|\(|id)){0,4}\s{0,3}"
"""The same in English."""


BORDER: Final = r"^|(?<=[^\u3400-\u9fff])"
"""Where a Chinese word has no other before it: two branches of an alternation, to which an expression may add its own."""


def zh_labeled(labels: str, value: str) -> re.Pattern[str]:
    """A value (group `v`) after one of some Chinese labels, an alternation."""
    return re.compile(rf"(?:{labels}){ZH_BETWEEN}(?P<v>{value})", re.IGNORECASE)


def en_labeled(labels: str, value: str) -> re.Pattern[str]:
    """A value (group `v`) after one of some English labels, an alternation, without regard to case."""
    return re.compile(rf"(?<![\w])(?:{labels}){EN_BETWEEN}(?P<v>{value})", re.IGNORECASE)


def one_of(words: Iterable[str]) -> str:
    """An alternation of words, the longest first."""
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


def begins(words: Iterable[str]) -> str:
    """That one of some words may begin here: what is cheaper to ask than the words themselves."""
    return f"(?=[{''.join(sorted({word[0] for word in words}))}])"


Parts = Sequence[tuple[int, int, int]]
"""Parts of a text, in order and apart: each from a start to an end (not included) and, behind it, an end of what is looked at from within."""


@dataclass(frozen=True)
class Rule:
    """A regular expression over folded text. Its groups named `v`, or all of it where there is none, are personal data.

    Every repetition in `regex` is bounded, so that one place costs a bounded time and a text a time that grows with its length.
    `check` raises the confidence to `checked` where it holds (a checksum); it never decides whether something is found.
    `wanted` decides: it tells a real find from a look-alike. So does `fits`, which sees what stands around it, too.
    `needs` saves time: where a text holds none of these characters, the rule finds nothing in it and is not tried.
    """

    name: str
    kind: Kind
    regex: re.Pattern[str]
    confidence: float = 0.8
    check: Callable[[str], bool] | None = None
    checked: float = 0.99
    wanted: Callable[[str], bool] | None = None
    fits: Callable[[re.Match[str]], bool] | None = None
    needs: str = ""

    def find(self, folded: str, parts: Parts | None = None) -> Iterator[Span]:
        """Spans of this rule in a folded text; those that begin in some parts of it, where parts are given."""
        if self.needs and not any(char in folded for char in self.needs):
            return
        group = "v" if "v" in self.regex.groupindex else 0
        for match in self.regex.finditer(folded) if parts is None else _within(self.regex, folded, parts):
            start, end = match.span(group)
            value = match.group(group)
            if start == end or (self.wanted is not None and not self.wanted(value)):
                continue
            if self.fits is not None and not self.fits(match):
                continue
            sure = self.checked if self.check is not None and self.check(value) else self.confidence
            yield Span(start, end, self.kind, f"pattern:{self.name}", sure)


_DIGITS: Final = "0123456789"


def with_digits(rules: Iterable[Rule]) -> list[Rule]:
    """Rules that find nothing in a text without a digit, which is asked first."""
    return [replace(rule, needs=rule.needs or _DIGITS) for rule in rules]


def _within(regex: re.Pattern[str], text: str, parts: Parts) -> Iterator[re.Match[str]]:
    """The matches that begin in some parts of a text, as a search through all of it comes to them."""
    at = 0
    for start, end, seen in parts:
        if at >= end:
            continue  # a match that began before goes on to there
        for match in regex.finditer(text, max(start, at), seen):
            if match.start() >= end:
                break
            at = match.end()
            yield match


def find_all(rules: Iterable[tuple[Rule, Parts | None]], folded: str) -> list[Span]:
    """What all rules find, each in its parts of a text (None: all of it), overlaps included."""
    return [span for rule, parts in rules for span in rule.find(folded, parts)]
