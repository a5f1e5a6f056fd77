"""Words that were encoded before: text repeats its words, and a byte-level tokenizer encodes each by itself.

Such a tokenizer cuts text into words by a regular expression first. Between a letter, digit or closing mark and a single
space before the next letter or digit, all expressions in use cut, and none looks back. So a text's ids are those of its
stretches between such places, and most of these were seen in earlier rows. Chinese has places of its own (`ideographs`).
"""

import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

from tokenizers import models, normalizers

from medicalgpt.rendering.ideographs import Ideographs

_MOST: Final = 1 << 16  # words that are kept
_LONGEST: Final = 64  # characters of one; control tokens between two turns are in it
_FEW: Final = 8  # words: a batch of fewer takes longer than one after the other
_WORTH: Final = 12  # characters a word: above that the text is no list of words, as Thai is not
_SHORT: Final = 200  # characters: a batch of one is handed to another thread, which takes longer than so short a text
_PLACE: Final = re.compile(r"(?<=[A-Za-z0-9.,;:!?)])(?= [A-Za-z0-9])")

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
        self._known: dict[str, list[int]] = {}

    @cached_property
    def _ideographs(self) -> Ideographs | None:
        return Ideographs(self.backend) if _joins_plainly(self.backend) else None

    def ids(self, text: str) -> list[int]:
        """Ids of a text with nothing added."""
        words = self._cut(text)
        if len(words) * _WORTH < len(text):
            return encoded(self.backend, text)
        known = self._known
        try:
            return [i for word in words for i in known[word]]
        except KeyError:
            return self._learn(words)

    def _cut(self, text: str) -> list[str]:
        words = _PLACE.split(text)
        if text.isascii() or self._ideographs is None:
            return words
        units = self._ideographs.units
        return [unit for word in words for unit in ((word,) if word.isascii() else units(word))]

    def _learn(self, words: list[str]) -> list[int]:
        """The same where some words are new; they are encoded together."""
        known = self._known
        new = list(dict.fromkeys(word for word in words if word not in known))
        if len(new) <= _FEW:
            fresh = {word: self.backend.encode(word, add_special_tokens=False).ids for word in new}
        else:
            found = self.backend.encode_batch_fast(new, add_special_tokens=False)
            fresh = {word: encoding.ids for word, encoding in zip(new, found)}
        ids = [i for word in words for i in (fresh[word] if word in fresh else known[word])]
        if len(self._known) + len(fresh) > _MOST:
            self._known = {}  # another thread goes on with the one it has
        self._known.update((word, found) for word, found in fresh.items() if len(word) <= _LONGEST)
        return ids


def encoded(backend: Any, text: str) -> list[int]:
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
