"""Boundaries in the ids of a long text, found in time that grows with the text and not with its square.

A fast tokenizer cuts a text at its special tokens first and encodes each stretch between two of them by itself. So whether
the ids before a boundary are those of the text before it shows in the stretch around the boundary, which in a conversation
is a turn or its header.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
from tokenizers import decoders, normalizers

_PIECES: Final = 1024  # that are kept encoded: headers are few and the same in every row
_SHORT: Final = 200  # characters
_ID: Final = 4  # bytes

_Span = tuple[int, int]


class Sections:
    """Finds the ids of consecutive parts of one text, where the tokenizer's own rules allow to say them at once.

    Args:
        encode: text to ids, with nothing added.
        decode: ids to text.
        backend: the tokenizer of the `tokenizers` library; None for any other, about which nothing is known.
    """

    def __init__(self, encode: Callable[[str], np.ndarray], decode: Callable[[list[int]], str], backend: Any) -> None:
        self.encode, self.decode, self.backend = encode, decode, backend
        self._kept = lru_cache(_PIECES)(self._bytes)

    def parts(self, parts: Sequence[str]) -> list[np.ndarray] | None:
        """Ids of each part; None where they must be found by encoding every prefix."""
        if self.backend is None:
            return None
        text = "".join(parts)
        marks, special = list[_Span](), list[int]()
        for mark in self._pattern.finditer(text):
            marks.append(mark.span())
            special.append(self._special[mark[0]])
        ids = self.encode(text)
        starts = self._starts(ids, special)
        return None if starts is None else _Walk(self, text, marks, ids, starts).take(parts)

    def _starts(self, ids: np.ndarray, special: list[int]) -> list[int] | None:
        """Where in the ids these special tokens stand; None where they are others, or not all of these: a special token that
        is not always one (within words, say), or an unknown character."""
        at = self._is_special[ids].nonzero()[0]
        return at.tolist() if ids[at].tolist() == special else None

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

    def piece(self, text: str) -> bytes:
        """Ids of a text as bytes; a short one may have been asked for before."""
        return self._kept(text) if len(text) <= _SHORT else self._bytes(text)

    def _bytes(self, text: str) -> bytes:
        return self.encode(text).tobytes()

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
    """One pass over the boundaries of a text, cut at its special tokens: a stretch begins with its own, but for the first.

    Args:
        ids: of the text.
        starts: where in them the special tokens stand.
    """

    def __init__(self, sections: Sections, text: str, marks: list[_Span], ids: np.ndarray, starts: list[int]) -> None:
        self.sections, self.text, self.marks = sections, text, marks
        self.ids, self.written, self.ends = ids, ids.tobytes(), [*starts, len(ids)]
        self.moved = 0  # how much further than in `ends` the stretches now end in `ids`, which a cut changes
        self.done = 0  # ids up to the last boundary
        self.number = 0  # of the stretch that it stood in
        self.origin = self.begin = 0  # where that, or what is left of it after a cut, begins in the text and in the ids
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
        return [*found, self.ids[self.done :]]

    def _up_to(self, end: int) -> np.ndarray | None:
        """Ids from the last boundary to the one at character `end`."""
        number, marks = self.number, self.marks
        while number < len(marks) and marks[number][1] <= end:
            number += 1
        if number < len(marks) and marks[number][0] < end:
            return None  # a special token across the boundary
        if number > self.number:
            self.number, self.bounded = number, False
            self.origin, self.begin = marks[number - 1][0], self.ends[number - 1] + self.moved
        piece = self.sections.piece(self.text[self.origin : end])
        until = self.begin + len(piece) // _ID
        if until > self.ends[number] + self.moved or not self.written.startswith(piece, self.begin * _ID):
            return self._cut(end, np.frombuffer(piece, np.int32))
        ids = self.ids[self.done : until]
        self.done, self.bounded = until, True
        return ids

    def _cut(self, end: int, piece: np.ndarray) -> np.ndarray | None:
        """The same where the ids before the boundary are `piece`, and others than those of the text before it: the rest of the
        stretch is encoded apart. None where more than it may have to change."""
        following = self.marks[self.number] if self.number < len(self.marks) else None
        stop = following[1] if following else len(self.text)
        if self.bounded or not self.sections.spelled(self.text[self.origin : stop]):
            return None
        found = np.concatenate([self.ids[self.done : self.begin], piece])
        rest = self.sections.encode(self.text[end:stop])
        rest = rest[:-1] if following else rest
        self.ids = np.concatenate([rest, self.ids[self.ends[self.number] + self.moved :]])
        self.written = self.ids.tobytes()
        self.moved = len(rest) - self.ends[self.number]
        self.origin, self.begin, self.done, self.bounded = end, 0, 0, True
        return found
