"""A BPE tokenizer that grows: merges are added behind all it has, and none of them makes an old token.

BPE applies the earliest merge of its list first. Merges behind the list therefore start where the old tokenizer ended,
and as they only make tokens that are new, they can never wake up an old merge. So an encoding with the grown tokenizer
is the old encoding with runs of old tokens replaced, for every text: the old one can be read back from it token by
token, and a text in which no new token occurs is encoded as before.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from tokenizers import Tokenizer

from medicalgpt.errors import ModelError
from medicalgpt.gguf.vocab import Part

SPACE = "▁"  # how SentencePiece writes a space


class Spelling:
    """How a tokenizer's vocabulary spells text: bytes as printable characters (byte-level), or characters as they are."""

    def __init__(self, byte_level: bool) -> None:
        self.byte_level = byte_level
        table = _byte_characters() if byte_level else {}
        self._spell = table
        self._read = {c: b for b, c in table.items()}

    def spelled(self, text: str) -> str:
        """Text as the vocabulary spells it."""
        if not self.byte_level:
            return text.replace(" ", SPACE)
        return "".join(self._spell[b] for b in text.encode("utf-8", "surrogatepass"))

    def text(self, token: str) -> str | None:
        """The whole characters that a token stands for; None for a part of a character, or a control token."""
        if not self.byte_level:
            return None if is_byte(token) else token.replace(SPACE, " ")
        try:
            return self.bytes_of(token).decode("utf-8")
        except (KeyError, UnicodeDecodeError):
            return None

    def characters(self, word: str) -> str:
        """The characters of a whole word; broken ones, which no text has, as U+FFFD."""
        return self.bytes_of(word).decode("utf-8", "replace") if self.byte_level else word

    def bytes_of(self, token: str) -> bytes:
        """The bytes of a token of a byte-level vocabulary. Raises KeyError for control tokens."""
        return bytes(self._read[c] for c in token)


def is_byte(name: str) -> bool:
    """Whether a token of a SentencePiece-like vocabulary stands for one byte."""
    return len(name) == 6 and name.startswith("<0x") and name.endswith(">")


def _byte_characters() -> dict[int, str]:
    """Byte → the character that byte-level vocabularies write for it: printable bytes stand for themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in set(printable)]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(rest)}


class GrowingBpe:
    """A byte-level or SentencePiece-like BPE tokenizer to which tokens are added."""

    def __init__(self, backend: Tokenizer) -> None:
        text = backend.to_str()
        self.data: Part = json.loads(text)
        model = self.data["model"]
        if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
            raise ModelError("a BPE tokenizer with word affixes (CLIP, old GPT) cannot be extended")
        self.spelling = Spelling(is_byte_level(text))
        if not self.spelling.byte_level and not model.get("byte_fallback"):
            raise ModelError("this BPE tokenizer has neither bytes nor byte fallback; it cannot be extended")
        self.old = backend.model
        self.vocab: dict[str, int] = dict(model["vocab"])
        # Control tokens outside the model's own list get their ids from its length, which is about to change.
        self.vocab |= {t["content"]: t["id"] for t in self.data["added_tokens"]}
        self.control = {t["id"] for t in self.data["added_tokens"]}
        self.first = max(self.vocab.values()) + 1
        self.names = {i: token for token, i in self.vocab.items()}
        self.replaces: list[tuple[int, ...]] = []
        self.merges: list[tuple[str, str]] = []
        self._rank: dict[tuple[int, int], tuple[int, int]] = {}

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return self.first + len(self.replaces)

    def old_ids(self, token: int) -> tuple[int, ...]:
        """The old tokens that a token stands for: itself if it is old."""
        return (token,) if token < self.first else self.replaces[token - self.first]

    def old_tokens(self, spelled: str) -> list[int]:
        """Ids of the old tokenizer for one word in the vocabulary's spelling."""
        return [t.id for t in self.old.tokenize(spelled)]

    def join(self, left: int, right: int) -> int | None:
        """Add the merge of two tokens.

        Returns:
            The id of the pair, None where the vocabulary has that text already under another pair of tokens: then the
            merge would make an old token, or one token that stands for two old encodings.
        """
        pair = (left, right)
        if pair in self._rank:
            return self._rank[pair][1]
        together = self.old_ids(left) + self.old_ids(right)
        name = self.names[left] + self.names[right]
        known = self.vocab.get(name)
        if known is not None and (known < self.first or self.old_ids(known) != together):
            return None
        made = self._new(name, together) if known is None else known
        self._rank[pair] = (len(self.merges), made)
        self.merges.append((self.names[left], self.names[right]))
        return made

    def splits(self, character: str) -> bool:
        """Whether the old tokenizer writes a character in several tokens."""
        return len(self.old_tokens(self.spelling.spelled(character))) > 1

    def character(self, character: str) -> int | None:
        """Make a character one token; None where it is one, or where another token stands in the way."""
        spelled = self.spelling.spelled(character)
        ids = self.segment(self.old_tokens(spelled))
        if len(ids) < 2:
            return None
        if not self.spelling.byte_level:
            return None if spelled in self.vocab else self._new(spelled, tuple(ids))
        return self.chain(ids)

    def encode(self, spelled: str) -> list[int]:
        """One word in the tokens there are now."""
        if self.spelling.byte_level:
            return self.segment(self.old_tokens(spelled))
        return self.segment(split_at(spelled, self.vocab, self.first, self.old_tokens))

    def chain(self, ids: Sequence[int]) -> int | None:
        """Join tokens from left to right into one; None where that is not possible, and then nothing is added."""
        name, old = self.names[ids[0]], self.old_ids(ids[0])
        for i in ids[1:]:
            name, old = name + self.names[i], old + self.old_ids(i)
            known = self.vocab.get(name)
            if known is not None and (known < self.first or self.old_ids(known) != old):
                return None
        made: int | None = ids[0]
        for i in ids[1:]:
            made = None if made is None else self.join(made, i)
        return made

    def segment(self, ids: Sequence[int]) -> list[int]:
        """Old tokens of one word with the new merges applied, the earliest first."""
        row = list(ids)
        while len(row) > 1:
            found = [(self._rank[pair], at) for at, pair in enumerate(pairwise(row)) if pair in self._rank]
            if not found:
                break
            (_, made), at = min(found)
            row[at : at + 2] = [made]
        return row

    def _new(self, name: str, old: tuple[int, ...]) -> int:
        made = self.size
        self.vocab[name], self.names[made] = made, name
        self.replaces.append(old)
        return made

    def build(self) -> Tokenizer:
        """The grown tokenizer."""
        model = {**self.data["model"], "vocab": self.vocab}
        model["merges"] = [*self.data["model"]["merges"], *map(list, self.merges)]
        return Tokenizer.from_str(json.dumps({**self.data, "model": model}, ensure_ascii=False))


def split_at(spelled: str, vocab: Mapping[str, int], first: int, old_tokens: Callable[[str], list[int]]) -> list[int]:
    """Tokens of a word in which characters that were added (ids from `first`) are tokens, and the rest is as it was."""
    ids: list[int] = []
    rest = ""
    for character in spelled:
        if vocab.get(character, -1) < first:
            rest += character
            continue
        ids += [*(old_tokens(rest) if rest else ()), vocab[character]]
        rest = ""
    return ids + (old_tokens(rest) if rest else [])


def is_byte_level(tokenizer: str) -> bool:
    """Whether a tokenizer.json writes bytes as characters: its pre-tokenizer or normalizer says ByteLevel."""
    data = json.loads(tokenizer)
    return '"ByteLevel"' in json.dumps([data.get("pre_tokenizer"), data.get("normalizer")])
