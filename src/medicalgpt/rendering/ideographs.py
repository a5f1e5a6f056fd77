"""Places in Chinese text where no token of a byte-level BPE vocabulary can stand across.

Chinese has no spaces, so a tokenizer's words are whole clauses, which hardly come twice. Within a word BPE only ever joins what
is a token in the end. Where no token holds the end of one character together with the beginning of the next, nothing is joined
across the place between them, and the ids of the text are those of both sides one after the other. What is left between such
places are single characters and the few that are tokens together, which do come again.

The places are between two characters around which every expression of `words` cuts both sides as it cuts the whole: at or within
a run of letters, before punctuation that follows a letter or digit, and behind punctuation. White space is not among those, as
expressions look ahead of it.
"""

import re
from itertools import compress, pairwise
from operator import add
from typing import Any, Final

from medicalgpt.rendering.spelling import characters

_IDEOGRAPH: Final = "\u3400-\u4dbf\u4e00-\u9fff"
_MARK: Final = "，。、；：？！（）《》【】“”…％℃"
_PLACE: Final = re.compile(
    f"[{_IDEOGRAPH}][{_IDEOGRAPH}{_MARK}A-Za-z0-9 \n]|[{_MARK}][{_IDEOGRAPH}A-Za-z0-9]|[A-Za-z0-9][{_IDEOGRAPH}{_MARK}]"
)
_MOST: Final = 1 << 17  # pairs of characters that are kept


class Ideographs:
    """The places of one vocabulary; only for backends that `words.cuts_words` is true of."""

    def __init__(self, backend: Any) -> None:
        self._across = _across(backend)
        self._between = _Between(self._across)

    def units(self, text: str) -> list[str]:
        """The text in pieces whose ids one after the other are its ids."""
        if len(self._between) > _MOST:
            self._between = _Between(self._across)  # another thread goes on with the one it has
        places = compress(range(1, len(text)), map(self._between.__getitem__, map(add, text, text[1:])))
        return [text[a:b] for a, b in pairwise((0, *places, len(text)))]


class _Between(dict[str, bool]):
    """Two characters → whether there is a place between them; filled as they come."""

    def __init__(self, across: frozenset[tuple[bytes, bytes]]) -> None:
        super().__init__()
        self.across = across

    def __missing__(self, pair: str) -> bool:
        found = False
        if _PLACE.fullmatch(pair):
            left, right = pair[0].encode(), pair[1].encode()
            ends = [left[at:] for at in range(len(left))]
            found = not any((end, right[:at]) in self.across for end in ends for at in range(1, len(right) + 1))
        self[pair] = found
        return found


def _across(backend: Any) -> frozenset[tuple[bytes, bytes]]:
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
            if at:
                found.add((token[before:at], token[at:end]))
    return frozenset(found)
