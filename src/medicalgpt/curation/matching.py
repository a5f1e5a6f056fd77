"""Texts made comparable, and their n-grams as numbers.

Normalized as for the split (`data.normal`), then traditional characters as simplified ones: what differs in case, width, script,
space or punctuation alone is the same.
"""

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import numpy as np

from medicalgpt.data.normal import normalized
from medicalgpt.errors import ConfigError

if TYPE_CHECKING:  # lazy: an extra
    from opencc import OpenCC

_BASE: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@cache
def _converter() -> "OpenCC":
    try:
        from opencc import OpenCC
    except ImportError:
        raise ConfigError("curation needs the extra `curate`: pip install 'medicalgpt[curate]'") from None
    return OpenCC("t2s")


def comparable(text: str) -> str:
    """The text as it is compared."""
    plain = normalized(text)
    return plain if plain.isascii() else _converter().convert(plain)


def digest(texts: Sequence[str]) -> tuple[int, int]:
    """128 bits of comparable texts in order, as two numbers."""
    raw = blake2b("\n".join(texts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")


def ngrams(text: str, size: int) -> np.ndarray:
    """A number of 64 bits for every n-gram of characters in order [max(1, len − size + 1)]; of a shorter text for the whole."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    if not len(codes):
        return np.empty(0, np.uint64)
    size = min(size, len(codes))
    with np.errstate(over="ignore"):
        sums = np.zeros(len(codes) - size + 1, np.uint64)
        for place in range(size):
            sums = sums * _BASE + codes[place : place + len(sums)] + np.uint64(1)
        for factor, shift in zip(_MIX, (np.uint64(30), np.uint64(27))):
            sums = (sums ^ (sums >> shift)) * factor
        return sums ^ (sums >> np.uint64(31))


def jaccard(first: np.ndarray, second: np.ndarray) -> float:
    """Shared share of two sorted sets of n-grams."""
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / max(1, len(first) + len(second) - shared)
