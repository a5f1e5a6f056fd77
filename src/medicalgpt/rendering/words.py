"""Words that were encoded before: text repeats its words, and a byte-level tokenizer encodes each by itself.

Such a tokenizer cuts text into words by a regular expression first. Between a letter, digit or closing mark and a single
space before the next letter or digit, all expressions in use cut, and none looks back. So a text's ids are those of its
stretches between such places, and most of these were seen in earlier rows. Chinese has places of its own (`ideographs`).
"""

import json
import re
import unicodedata
from array import array
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
from tokenizers import Tokenizer, models, normalizers

from medicalgpt.rendering.ideographs import Ideographs

_MOST: Final = 1 << 16  # words that are kept
_LONGEST: Final = 64  # characters of one; control tokens between two turns are in it
_FEW: Final = 8  # words: a batch of fewer takes longer than one after the other
_WORTH: Final = 12  # characters a word: above that the text is no list of words, as Thai is not
_SHORT: Final = 200  # characters: a batch of one is handed to another thread, which takes longer than so short a text
_ALONE: Final = "\0"
_PLACE: Final = re.compile(
    r" (?=[A-Za-z0-9])(?<=[A-Za-z0-9.,;:!?)] )"
)  # with its space, which is the next word's first

# The cutting expressions of GPT-2, of cl100k with the Llama 3 line, and of the Qwen and SmolLM lines, as tokenizer.json has them.
_KNOWN: Final = frozenset(
    (
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    )
)


class Words:
    """Encodes text by its words, as `backend` does as a whole; only for backends that `cuts_words` is true of."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self._units: dict[str, bytes] = {}
        """Ids of pieces, as they lie in an array."""
        self._words: dict[str, bytes] = {}
        """The same of words: those behind a space by the word without it, others with `_ALONE` before them."""

    @cached_property
    def _ideographs(self) -> Ideographs | None:
        return Ideographs(self.backend) if _joins_plainly(self.backend) else None

    def ids(self, text: str, cuts: Sequence[int] = ()) -> np.ndarray:
        """Ids of a text with nothing added, int32 of shape [tokens].

        Args:
            cuts: where the tokenizer cuts this text in any case.
        """
        words = None if text.isascii() else self._chinese(text, cuts)
        plain = words is None
        if words is None:
            words = self._cut(text, cuts)
        if len(words) * _WORTH < len(text):
            return np.asarray(encoded(self.backend, text), np.int32)
        found = list(map((self._words if plain else self._units).get, words))
        if None in found:
            self._learn(words, found, plain)
        return np.frombuffer(b"".join(found), np.int32)  # type: ignore[arg-type]  # none is None any more

    def _chinese(self, text: str, cuts: Sequence[int]) -> list[str] | None:
        """The pieces of a text, as they are kept in `_units`; None where it must be cut as any other."""
        # A letter may become another character together with what stands behind it, which tokens may know.
        if self._ideographs is None or not unicodedata.is_normalized("NFC", text):
            return None
        return self._ideographs.units(text, cuts)

    @staticmethod
    def _cut(text: str, cuts: Sequence[int]) -> list[str]:
        """The words of a text, as they are kept in `_words`."""
        words = list[str]()
        for begin, end in pairwise((0, *cuts, len(text))):
            first, *others = _PLACE.split(text[begin:end])
            words.append(_ALONE + first)
            words += others
        return words

    def _learn(self, words: list[str], found: list[bytes | None], plain: bool) -> None:
        """Put the ids of new words (`plain`: as `_cut` gives them) where `found` has None; they are encoded together."""
        missing = [at for at, ids in enumerate(found) if ids is None]
        new = list(dict.fromkeys([words[at] for at in missing]))
        texts = [word[1:] if word[0] == _ALONE else f" {word}" for word in new] if plain else new
        if len(new) <= _FEW:
            ids = [self.backend.encode(text, add_special_tokens=False).ids for text in texts]
        else:
            ids = [one.ids for one in self.backend.encode_batch_fast(texts, add_special_tokens=False)]
        fresh = {word: array("i", one).tobytes() for word, one in zip(new, ids)}
        for at in missing:
            found[at] = fresh[words[at]]
        known = self._words if plain else self._units
        if len(known) + len(fresh) > _MOST:
            known = {}  # another thread goes on with the one it has
            self._words, self._units = (known, self._units) if plain else (self._words, known)
        known.update((word, one) for word, one in fresh.items() if len(word) <= _LONGEST)


def encoded(backend: Tokenizer, text: str) -> list[int]:
    """Ids of a text with nothing added. Of a long one without the places of its tokens, which take half of the time."""
    if len(text) <= _SHORT:
        ids: list[int] = backend.encode(text, add_special_tokens=False).ids
    else:
        ids = backend.encode_batch_fast([text], add_special_tokens=False)[0].ids
    return ids


def cuts_words(backend: Any) -> bool:
    """Whether this tokenizer is known to cut text at every place where `Words` does."""
    if backend.pre_tokenizer is None or not isinstance(backend.normalizer, normalizers.NFC | None):
        return False
    written = json.loads(backend.pre_tokenizer.__getstate__())  # of this step alone: the vocabulary takes a second
    steps = written["pretokenizers"] if written.get("type") == "Sequence" else [written]
    plain = isinstance(backend.model, models.BPE) and not backend.model.dropout
    return plain and _cuts(steps) and not _spaced(t.content for t in backend.get_added_tokens_decoder().values())


def _joins_plainly(backend: Any) -> bool:
    """Whether what is joined within a word depends on nothing but what stands there: neither on its being the word's beginning
    or end nor, for added tokens, on what stands beside it."""
    model = backend.model
    whole = any(token.single_word for token in backend.get_added_tokens_decoder().values())
    return not (model.continuing_subword_prefix or model.end_of_word_suffix or model.fuse_unk or whole)


def _cuts(steps: list[dict[str, Any]]) -> bool:
    """Whether the pre-tokenizer's steps are of the kinds known here, one of them with such an expression."""
    cutting = False
    for step in steps:
        kind = step.get("type")
        if kind == "ByteLevel" and not step["add_prefix_space"]:
            cutting = cutting or step["use_regex"]
        elif kind == "Split" and step["behavior"] == "Isolated" and not step["invert"]:
            if step["pattern"].get("Regex") not in _KNOWN:
                return False
            cutting = True
        elif kind != "Digits":
            return False
    return cutting


def _spaced(tokens: Iterable[str]) -> bool:
    """Whether an added token could stand across a place."""
    return any(re.search(r"[^ ] ", token) or re.search(r" [^ ]", token) for token in tokens)
