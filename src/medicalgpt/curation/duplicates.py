"""Nearly the same texts: MinHash bands give candidates, their true Jaccard decides, and the longest row of each group stays.

MinHash and banding: Broder 1997; for training data arXiv 2107.06499. Settings made for web pages miss edited short dialogues:
32 bands of 4 find a pair with Jaccard 0.6 with probability 0.99, 16 × 8 with 0.24.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from medicalgpt.config.curation import DuplicatesConfig
from medicalgpt.curation.matching import jaccard, ngrams
from medicalgpt.errors import ConfigError

_SEED: Final = 20250801
_REMEMBERED: Final = 4096  # rows whose n-grams are held
_ALL_PAIRS: Final = 32
"""Rows of a bucket that are compared each with each; beyond, with this many before them."""


def band_keys(texts: Sequence[str], config: DuplicatesConfig) -> np.ndarray:
    """A number for every band of every comparable text [texts, bands]; rows that share one are candidates."""
    try:
        from rensa import RMinHash
    except ImportError:
        raise ConfigError("curation needs the extra `curate`: pip install 'medicalgpt[curate]'") from None
    grams = [np.unique(ngrams(text, config.ngram)) for text in texts]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in grams])]).astype(np.uint64)
    flat = np.concatenate(grams) if grams else np.empty(0, np.uint64)
    hashes = config.bands * config.band_rows
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(flat, offsets, hashes, _SEED)
    rows = np.asarray(matrix.to_rows(), np.uint64).reshape(len(texts), config.bands, config.band_rows)
    keys = np.zeros(rows.shape[:2], np.uint64)
    with np.errstate(over="ignore"):
        for place in range(config.band_rows):
            keys = (keys ^ rows[:, :, place]) * np.uint64(0x100000001B3)
            keys ^= keys >> np.uint64(29)
        # The same hashes in another band are no sign of likeness.
        keys += np.arange(config.bands, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return keys


def candidates(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Pairs of rows with an equal key, each once, the lower first [pairs, 2].

    Args:
        keys, rows: of the same length; a row may come with many keys.
    """
    order = np.lexsort((rows, keys))
    keys, rows = keys[order], rows[order]
    found: list[np.ndarray] = []
    for shift in range(1, _ALL_PAIRS + 1):
        same = np.flatnonzero(keys[shift:] == keys[:-shift])
        if not len(same):
            break
        found.append(np.stack([rows[same], rows[same + shift]], 1))
    if not found:
        return np.empty((0, 2), np.int64)
    return np.unique(np.concatenate(found).astype(np.int64), axis=0)


def verified(pairs: np.ndarray, texts_of: Callable[[int], tuple[str, str]], config: DuplicatesConfig) -> np.ndarray:
    """Which pairs are nearly the same by the true Jaccard of their whole text, and of what they ask [pairs].

    Args:
        texts_of: of a row, its whole comparable text, and what it asks ("" for documents).
    """
    known: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def grams(row: int) -> tuple[np.ndarray, np.ndarray]:
        if row not in known:
            if len(known) > _REMEMBERED:
                known.clear()
            whole, asked = texts_of(row)
            known[row] = np.unique(ngrams(whole, config.ngram)), np.unique(ngrams(asked, config.ngram))
        return known[row]

    def alike(first: int, second: int) -> bool:
        (whole, asked), (other, other_asked) = grams(first), grams(second)
        if jaccard(whole, other) < config.jaccard:
            return False
        if not len(asked) or not len(other_asked):
            return len(asked) == len(other_asked)
        return jaccard(asked, other_asked) >= config.question_jaccard

    return np.asarray([alike(first, second) for first, second in pairs.tolist()], bool)


def surplus(pairs: np.ndarray, sizes: np.ndarray) -> dict[int, int]:
    """Rows that go, with the row that stays for each: it is nearly the same itself, not over others, and not shorter.

    Args:
        pairs: of rows that are nearly the same [pairs, 2].
        sizes: of all rows; of two equally long ones the earlier stays.
    """
    near: dict[int, list[int]] = {}
    for first, second in _both_ways(pairs):
        near.setdefault(first, []).append(second)
    gone: dict[int, int] = {}
    stays: set[int] = set()
    for row in sorted(near, key=lambda row: (-int(sizes[row]), row)):
        kept = [other for other in near[row] if other in stays]
        if kept:
            gone[row] = min(kept, key=lambda other: (-int(sizes[other]), other))
        else:
            stays.add(row)
    return gone


def _both_ways(pairs: np.ndarray) -> Iterator[tuple[int, int]]:
    for first, second in pairs.tolist():
        yield first, second
        yield second, first
