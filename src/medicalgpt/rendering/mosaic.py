"""The parts of all conversations with one sequence of roles, as texts that are always the same and places for words: put together
without the text of the whole, once it has been cut into parts for one of them."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from medicalgpt.data.records import Role

Words = tuple[tuple[Role, str], ...]
"""Role and content of each turn."""


class Parts(NamedTuple):
    """Consecutive parts of a rendered conversation, and the assistant turn that each answers for, or None."""

    texts: list[str]
    owners: list[int | None]


class Mosaic(NamedTuple):
    """For words without white space at their ends. `around` is what stands before the words of each turn, and behind the last."""

    around: Sequence[str]
    parts: list[list[str | int]]
    """A text, or the number of a turn for its words."""
    owners: list[int | None]

    @classmethod
    def of(cls, around: Sequence[str], words: Words, cut: Parts) -> "Mosaic | None":
        """From one conversation with these words, cut into parts, behind which nothing but a text that is always the same may follow;
        None where it is not made of these texts, or cut within words."""
        pieces = [piece for text, (_, content) in zip(around, words) for piece in (text, content)] + [around[-1]]
        whole, kept = "".join(pieces), "".join(cut.texts)
        if not whole.startswith(kept) or len(whole) - len(kept) > len(around[-1]):
            return None
        places = list(pairwise(accumulate(map(len, pieces), initial=0)))
        parts: list[list[str | int]] = []
        for begin, end in pairwise(accumulate(map(len, cut.texts), initial=0)):
            found: list[str | int] = []
            for number, (first, last) in enumerate(places):
                if max(first, begin) >= min(last, end):
                    continue
                if number % 2 and not begin <= first <= last <= end:
                    return None
                found.append(number // 2 if number % 2 else pieces[number][max(begin - first, 0) : end - first])
            parts.append(found)
        return cls(around, parts, cut.owners)

    def filled(self, words: Words) -> Parts:
        """The parts of a conversation with other words."""
        texts = ["".join([words[p][1] if isinstance(p, int) else p for p in part]) for part in self.parts]
        return Parts(texts, self.owners)
