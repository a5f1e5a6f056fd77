"""Texts that were made from a template: recognized, and taken apart into values. No regular expression, hence no backtracking."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import Formatter


@dataclass(frozen=True)
class Pattern:
    """A template as alternating literals and places.

    Attributes:
        literals: the text before, between and behind the places: one more than places.
        names: the names of each place in order; several where places touch, for nothing tells where one ends.
    """

    literals: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]

    @property
    def weight(self) -> int:
        """Characters that a text must have to match: the heavier, the surer."""
        return sum(map(len, self.literals))

    @cached_property
    def quoted(self) -> frozenset[str]:
        """The places between quotation marks: what stands there is somebody's own words."""
        edges = zip(self.literals, self.names, self.literals[1:])
        return frozenset(
            names[0] for left, names, right in edges if left[-1:] == right[:1] and left[-1:] in tuple("'\"`")
        )

    def closes(self, values: Sequence[str]) -> bool:
        """Whether every place between quotation marks ends with its mark: no text goes on behind another one within it."""
        edges = zip(self.literals, self.names, values)
        return not any(
            left[-1:] in tuple("'\"`") and names[0] in self.quoted and f"{left[-1:]}: " in value
            for left, names, value in edges
        )

    @property
    def has_words(self) -> bool:
        """Whether it says anything but its places."""
        return any(char.isalpha() for literal in self.literals for char in literal)

    def values(self, text: str) -> list[str] | None:
        """The value of every place, or None where the text was not made from this template.

        First and last literal are anchored; each other is taken where it first occurs behind the one before it, which finds a match
        whenever there is one. Linear in the text for each literal.
        """
        first, last = self.literals[0], self.literals[-1]
        if not self.names:
            return [] if text == first else None
        if len(text) < self.weight or not text.startswith(first) or not text.endswith(last):
            return None
        found: list[str] = []
        at, end = len(first), len(text) - len(last)
        for literal in self.literals[1:-1]:
            behind = text.find(literal, at, end)
            if behind < 0:
                return None
            found.append(text[at:behind])
            at = behind + len(literal)
        return [*found, text[at:end]]


def parse(template: str) -> Pattern:
    """A template's pattern; braces of the text are doubled in it, as in an f-string.

    Raises:
        ValueError: a brace is left open.
    """
    literals: list[str] = [""]
    names: list[tuple[str, ...]] = []
    for literal, name, _, _ in Formatter().parse(template):
        literals[-1] += literal
        if name is None:
            continue
        if names and not literals[-1]:
            names[-1] += (name,)
        else:
            names.append((name,))
            literals.append("")
    return Pattern(tuple(literals), tuple(names))


def places(template: str) -> set[str]:
    """The names of a template's places."""
    return {name for touching in parse(template).names for name in touching}


def numbers(template: str) -> Iterator[str]:
    """A template with its places for singular and plural (`{row|rows}`) written out, every way."""
    choice = next((name for touching in parse(template).names for name in touching if "|" in name), None)
    if choice is None:
        yield template
        return
    for word in choice.split("|"):
        yield from numbers(template.replace("{" + choice + "}", word, 1))
