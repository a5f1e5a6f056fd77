"""Places in Chinese text where no token of a byte-level BPE vocabulary can stand across.

Chinese has no spaces, so a tokenizer's words are whole clauses, which hardly come twice. Within a word BPE only ever joins what
is a token in the end. Where no token holds the end of one character together with the beginning of the next, nothing is joined
across the place between them, and the ids of the text are those of both sides one after the other. What is left between such
places are single characters and the few that are tokens together, which do come again.

The places are between two characters around which every expression of `words` cuts both sides as it cuts the whole: at or within
a run of letters, before punctuation that follows a letter or digit, and behind punctuation. White space is not among the first of
the two, as expressions look ahead of it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from medicalgpt.rendering.spelling import characters

_IDEOGRAPHS: Final = "".join(map(chr, (*range(0x3400, 0x4DB6), *range(0x4E00, 0x9FA6))))
"""Those that every edition of Unicode since 3.0 calls letters; to an expression of an older one later ones are none."""
_MARKS: Final = "，。、；：？！（）《》【】“”…％℃"
_LATIN: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SPACE: Final = " \n"
_BEHIND: Final = {
    _IDEOGRAPHS: _IDEOGRAPHS + _MARKS + _LATIN + _SPACE,
    _MARKS: _IDEOGRAPHS + _LATIN,
    _LATIN: _IDEOGRAPHS + _MARKS,
}
"""Which characters may stand behind which at a place."""
_BITS: Final = np.uint64(16)
_CLASSES: Final = np.uint64(0xFFFF)
_ENDS, _BLANK, _BEGINS, _OPENS = (np.uint64(1 << bit) for bit in range(32, 36))
_CODES: Final = 1 << 16  # characters beyond are at no place
_SLOTS: Final = 1 << 20  # of a table of pairs, where two may share one: then there is a place less


class Ideographs:
    """The places of one vocabulary; only for backends that `words.cuts_words` is true of.

    Characters have a class: what they are, and the first byte of those that a token may hold a part of. What is known of each
    character lies in one number: its class as one bit of `_CLASSES`, those that may stand behind it in the bits above, then
    whether a word may end or begin with it, whether it is a space, and whether it is the first of a pair in `_joined`.
    """

    def __init__(self, backend: Tokenizer) -> None:
        classes: dict[tuple[str, int], int] = {}
        self._facts = np.zeros(_CODES, np.uint64)
        for group in (_IDEOGRAPHS, _MARKS, _LATIN, _SPACE):
            for character in group:
                first = character.encode()[0] if group in (_IDEOGRAPHS, _MARKS) else 0
                self._facts[ord(character)] = classes.setdefault((group, first), 1 << len(classes))
        own = self._facts.copy()
        for group, behind in _BEHIND.items():
            self._facts[_codes(group)] |= np.bitwise_or.reduce(own[_codes(behind)]) << _BITS
        self._facts[_codes(_LATIN + ".,;:!?)")] |= _ENDS
        self._facts[ord(" ")] |= _BLANK
        self._facts[_codes(_LATIN)] |= _BEGINS
        self._joined = np.zeros(_SLOTS, np.bool_)
        self._forbid(_across(backend), classes)

    def _forbid(self, across: frozenset[tuple[bytes, bytes]], classes: dict[tuple[str, int], int]) -> None:
        """Take away the places that a token stands across, and some more where it holds parts of characters."""
        ends: dict[bytes, list[int]] = {}
        for character in (*_IDEOGRAPHS, *_MARKS, *_LATIN):
            written = character.encode()
            for at in range(len(written)):
                ends.setdefault(written[at:], []).append(ord(character))
        for end, begin in across:
            codes = np.asarray(ends.get(end, []), np.uint32)
            try:
                self._joined[_slot(codes, np.uint32(ord(begin.decode())))] = True
                self._facts[codes] |= _OPENS
            except UnicodeDecodeError:  # a part of a character
                first = sum(bit for (_, byte), bit in classes.items() if byte == begin[0])
                self._facts[codes] &= ~(np.uint64(first) << _BITS)

    def units(self, text: str, cuts: Sequence[int] = ()) -> list[str]:
        """The text in pieces whose ids one after the other are its ids; cut also at `cuts`, and where `words` are."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        if codes.max(initial=0) >= _CODES:
            codes = np.where(codes < _CODES, codes, np.uint32(0))
        facts = self._facts[codes]
        places = (facts[:-1] >> _BITS) & facts[1:] & _CLASSES != 0
        doubtful = np.flatnonzero(places & (facts[:-1] & _OPENS != 0))
        if len(doubtful):
            places[doubtful[self._joined[_slot(codes[doubtful], codes[doubtful + 1])]]] = False
        words = ((facts & _ENDS) << np.uint64(2))[:-2] & ((facts & _BLANK) << np.uint64(1))[1:-1] & facts[2:]
        places[:-1] |= words != 0
        places[np.asarray(cuts, np.intp) - 1] = True
        ends = (np.flatnonzero(places) + 1).tolist()
        return [text[begin:end] for begin, end in pairwise((0, *ends, len(text)))]


def _slot(left: np.ndarray, right: np.ndarray | np.uint32) -> np.ndarray:
    """Where pairs of characters (uint32) stand in the table."""
    mixed = np.add(left * np.uint32(0x9E3779B1), np.atleast_1d(right) * np.uint32(0x85EBCA6B), dtype=np.uint32)
    return np.right_shift(mixed, np.uint32(12))


def _codes(text: str) -> np.ndarray:
    return np.asarray([ord(character) for character in text])


def _across(backend: Tokenizer) -> frozenset[tuple[bytes, bytes]]:
    """Of every token that stands across two characters, or parts of them, the last bytes of the one and the first of the other."""
    bytes_of = characters()
    tokens = [bytes(map(bytes_of.__getitem__, t)) for t in backend.get_vocab() if bytes_of.keys() >= set(t)]
    tokens += [token.content.encode() for token in backend.get_added_tokens_decoder().values()]
    found: set[tuple[bytes, bytes]] = set()
    for token in tokens:
        if token.isascii():
            continue
        begins = [at for at, byte in enumerate(token) if byte & 0xC0 != 0x80]  # no byte that continues a character
        for before, at, end in zip([0, *begins], begins, [*begins[1:], len(token)]):
            if at and max(token[at - 1], token[at]) > 0x7F:
                found.add((token[before:at], token[at:end]))
    return frozenset(found)
