"""Boundaries in the ids of a long text, found in time that grows with the text and not with its square.

A fast tokenizer cuts a text at its special tokens first and encodes each stretch between two of them by itself. So whether
the ids before a boundary are those of the text before it shows in the stretch around the boundary, which in a conversation
is a turn or its header.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
from tokenizers import decoders, normalizers

_PIECES: Final = 1024  # that are kept encoded: headers are few and the same in every row
_SHORT: Final = 200  # characters


class Sections:
    """Finds the ids of consecutive parts of one text, where the tokenizer's own rules allow to say them at once.

    Args:
        encode: text to ids, with nothing added.
        decode: ids to text.
        backend: the tokenizer of the `tokenizers` library; None for any other, about which nothing is known.
    """

    def __init__(self, encode: Callable[[str], np.ndarray], decode: Callable[[list[int]], str], backend: Any) -> None:
        self.encode, self.decode, self.backend = encode, decode, backend
        self._kept = lru_cache(_PIECES)(encode)

    def parts(self, parts: Sequence[str]) -> list[np.ndarray] | None:
        """Ids of each part; None where they must be found by encoding every prefix."""
        if self.backend is None:
            return None
        text = "".join(parts)
        marks = list(self._pattern.finditer(text))
        stretches = self._stretches(text, marks)
        return None if stretches is None else _Walk(self, text, marks, stretches).take(parts)

    def _stretches(self, text: str, marks: list[re.Match[str]]) -> list[np.ndarray] | None:
        """The ids of the text cut before each of these special tokens; None where they have others, or not all of these: a
        special token that is not always one (within words, say), or an unknown character."""
        special = [self._special[mark.group()] for mark in marks]
        ids = self.encode(text)
        at = np.flatnonzero(self._is_special[ids])
        if ids[at].tolist() != special:
            return None
        return [ids[a:b] for a, b in pairwise((0, *at.tolist(), len(ids)))]

    @cached_property
    def _special(self) -> dict[str, int]:
        """Tokens that are looked for in any text before it is normalized. An unknown token also stands for characters."""
        unknown = getattr(self.backend.model, "unk_token", None)
        added = self.backend.get_added_tokens_decoder()
        return {t.content: int(i) for i, t in added.items() if t.special and not t.normalized and t.content != unknown}

    @cached_property
    def _is_special(self) -> np.ndarray:
        """Of each id whether it is one of these, bool of shape [ids]."""
        found = np.zeros(
            max([self.backend.get_vocab_size(), *(i + 1 for i in self.backend.get_added_tokens_decoder())]), np.bool_
        )
        found[list(self._special.values())] = True
        return found

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        names = sorted(self._special, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, names)) or r"(?!)")

    def piece(self, text: str) -> np.ndarray:
        """Ids of a short text, which may have been asked for before."""
        return self._kept(text) if len(text) <= _SHORT else self.encode(text)

    def spelled(self, text: str) -> bool:
        """Whether ids of this text, and of any piece of it, spell just what they were made of."""
        return self._byte_level and unicodedata.is_normalized("NFC", text)

    @cached_property
    def _byte_level(self) -> bool:
        plain = isinstance(self.backend.normalizer, normalizers.NFC | None)
        return (
            plain
            and isinstance(self.backend.decoder, decoders.ByteLevel)
            and self.decode(self.encode("a").tolist()) == "a"
        )


class _Walk:
    """One pass over the boundaries of a text. A stretch begins with its special token, but for the first."""

    def __init__(self, sections: Sections, text: str, marks: list[re.Match[str]], stretches: list[np.ndarray]) -> None:
        self.sections, self.text, self.marks, self.stretches = sections, text, marks, stretches
        self.number = 0  # of the stretch that the last boundary stood in
        self.origin = 0  # where its text begins, or that of what is left of it after a cut
        self.taken = 0  # of its ids
        self.bounded = False  # a boundary stood in it already, and was not its end

    def take(self, parts: Sequence[str]) -> list[np.ndarray] | None:
        """Ids of the parts, which make up the text; None as `Sections.parts`."""
        found: list[np.ndarray] = []
        end = 0
        for part in parts[:-1]:
            end += len(part)
            ids = self._up_to(end)
            if ids is None:
                return None
            found.append(ids)
        return [*found, self._rest(len(self.stretches))]

    def _rest(self, number: int) -> np.ndarray:
        """What is left of the stretches before `number`."""
        first = self.stretches[self.number][self.taken :]
        return np.concatenate([first, *self.stretches[self.number + 1 : number]]) if number > self.number + 1 else first

    def _up_to(self, end: int) -> np.ndarray | None:
        """Ids from the last boundary to the one at character `end`."""
        number = self.number
        while number < len(self.marks) and self.marks[number].end() <= end:
            number += 1
        if number < len(self.marks) and self.marks[number].start() < end:
            return None  # a special token across the boundary
        before = None
        if number > self.number:
            before = self._rest(number)
            self.number, self.taken, self.bounded = number, 0, False
            self.origin = self.marks[number - 1].start()
        piece = self.sections.piece(self.text[self.origin : end])
        ids = piece[self.taken :] if before is None else np.concatenate([before, piece[self.taken :]])
        if self.stretches[number][: len(piece)].tobytes() == piece.tobytes():
            self.taken = len(piece)
        elif not self._cut(end):
            return None
        self.bounded = True
        return ids

    def _cut(self, end: int) -> bool:
        """Encode the rest of the stretch apart; False where more than it may have to change."""
        following = self.marks[self.number] if self.number < len(self.marks) else None
        stop = following.end() if following else len(self.text)
        if self.bounded or not self.sections.spelled(self.text[self.origin : stop]):
            return False
        ids = self.sections.encode(self.text[end:stop])
        self.stretches[self.number] = ids[:-1] if following else ids
        self.origin, self.taken = end, 0
        return True
