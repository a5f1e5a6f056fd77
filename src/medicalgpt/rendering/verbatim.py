"""Conversations whose template writes their words as they are: one text for each sequence of roles, into which the words are put."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from medicalgpt.data.records import Role
from medicalgpt.errors import RenderError
from medicalgpt.rendering.mosaic import Words

_SEQUENCES: Final = 256  # of roles that are kept
_LONGEST: Final = 512  # turns of one
_COMPARED: Final = 2  # conversations of a sequence that are rendered, too, before the template is taken at its word
_EDGES: Final = (" \n", "\t ")  # white space before and behind words that stand in for others
_MARK: Final = re.compile(r"( \n)?⟦(\d+)⟧(\t )?")
_WRITTEN: Final[dict[tuple[bool, bool], Callable[[str], str]]] = {
    (True, True): str,
    (False, True): str.lstrip,
    (True, False): str.rstrip,
    (False, False): str.strip,
}  # by the white space that is left


@dataclass(slots=True)
class _Mold:
    """The text of one sequence of roles: what stands before each turn's words, how these are written, and what comes last."""

    constants: list[str]
    turns: list[int]
    written: list[Callable[[str], str]]
    compared: int = 0

    def filled(self, words: Words) -> str:
        parts = [constant for constant in self.constants for _ in range(2)]
        parts[1::2] = [*(write(words[turn][1]) for turn, write in zip(self.turns, self.written)), ""]
        return "".join(parts)


@dataclass
class Verbatim:
    """Renders ordinary conversations: with the template, until it has shown for a sequence of roles what it writes around them.

    Args:
        render: as the template does.
        source: its text.
        given: names of what else it is given (`writes_verbatim`).
    """

    render: Callable[[Words], str]
    source: str
    given: tuple[str, ...] = ()
    _seen: Counter[tuple[Role, ...]] = field(default_factory=Counter)
    _molds: dict[tuple[Role, ...], _Mold | None] = field(default_factory=dict)

    @cached_property
    def proven(self) -> bool:
        """Whether the template writes words as they are."""
        from medicalgpt.rendering.verbatim_proof import writes_verbatim  # lazy: Jinja; a helper was given the answer

        return writes_verbatim(self.source, self.given)

    def __getstate__(self) -> dict[str, object]:
        """What was found out, for another process: `render` stays here."""
        return {name: value for name, value in self.__dict__.items() if name != "render"}

    def around(self, roles: tuple[Role, ...]) -> list[str] | None:
        """What stands around words that have no white space at their ends; None where the template is still asked."""
        mold = self._molds.get(roles)
        if mold is None or mold.compared < _COMPARED or mold.turns != [*range(len(roles))]:
            return None
        return mold.constants

    def text(self, words: Words) -> str:
        """The rendered conversation. Raises RenderError."""
        roles = tuple([role for role, _ in words])
        mold = self._molds.get(roles)
        if mold is None or not all(content.strip() for _, content in words):
            return self._rendered(roles, words)
        text = mold.filled(words)
        if mold.compared < _COMPARED:
            mold.compared += 1
            if self.render(words) != text:  # the proof is wrong
                self.__dict__["proven"], self._molds = False, {}
                return self.render(words)
        return text

    def _rendered(self, roles: tuple[Role, ...], words: Words) -> str:
        text = self.render(words)
        if roles not in self._molds and self.proven and len(roles) <= _LONGEST and len(self._molds) < _SEQUENCES:
            if self._seen[roles]:  # a sequence that does not come again is not worth it
                self._molds[roles] = self._mold(roles)
            elif len(self._seen) < 2 * _SEQUENCES:
                self._seen[roles] += 1
        return text

    def _mold(self, roles: tuple[Role, ...]) -> _Mold | None:
        try:
            text = self.render(_stand_in(roles, *_EDGES))
            found = _found(text)
            # A template that takes white space away and writes the same as its own is told apart by words without any.
            same = found.filled(_stand_in(roles, *_EDGES)) == text
            return found if same and found.filled(_stand_in(roles)) == self.render(_stand_in(roles)) else None
        except RenderError:
            return None


def _stand_in(roles: tuple[Role, ...], before: str = "", behind: str = "") -> Words:
    return tuple((role, f"{before}⟦{turn}⟧{behind}") for turn, role in enumerate(roles))


def _found(text: str) -> _Mold:
    """What stands around words in the rendered stand-in, and which white space is left at their ends."""
    found, at = _Mold([], [], []), 0
    for mark in _MARK.finditer(text):
        found.constants.append(text[at : mark.start()])
        found.turns.append(int(mark[2]))
        found.written.append(_WRITTEN[bool(mark[1]), bool(mark[3])])
        at = mark.end()
    found.constants.append(text[at:])
    return found
