"""A unigram tokenizer (SentencePiece, arXiv 1804.10959) that grows.

It cuts a text where the sum of its pieces' log-probabilities is largest. A new piece gets the sum of the pieces it
replaces and a trifle for each token saved: enough to be taken in their place, and too little to move any other cut.
"""

import json
from collections.abc import Sequence

from tokenizers import Tokenizer

from medicalgpt.errors import ModelError
from medicalgpt.gguf.vocab import Part
from medicalgpt.vocabulary.bpe import Spelling, split_at

# SentencePiece keeps scores in fp32, whose steps near −100 are 8e-6.
_TRIFLE = 1e-3


class GrowingUnigram:
    """A unigram tokenizer to which pieces are added; the interface is that of GrowingBpe."""

    def __init__(self, backend: Tokenizer) -> None:
        self.data: Part = json.loads(backend.to_str())
        self.pieces: list[list[str | float]] = self.data["model"]["vocab"]
        self.spelling = Spelling(byte_level=False)
        self.old = backend.model
        added = {t["content"]: t["id"] for t in self.data["added_tokens"]}
        self._fill(added)
        self.vocab = {piece: i for i, (piece, _) in enumerate(self.pieces)} | added
        self.control = set(added.values())
        self.first = len(self.pieces)
        self.names = {i: piece for i, (piece, _) in enumerate(self.pieces)}
        self.replaces: list[tuple[int, ...]] = []
        self._least = min(float(score) for _, score in self.pieces)

    def _fill(self, added: dict[str, int]) -> None:
        """Control tokens behind the pieces become pieces, so that new ones come behind them; they are never cut out."""
        names = {i: token for token, i in added.items()}
        low = min(float(score) for _, score in self.pieces)  # from which unknown characters get theirs
        while any(i >= len(self.pieces) for i in names):
            if (here := len(self.pieces)) not in names:
                raise ModelError(f"the tokenizer has no token with id {here}; it cannot be extended")
            self.pieces.append([names[here], low])

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return self.first + len(self.replaces)

    def old_ids(self, token: int) -> tuple[int, ...]:
        """The old tokens that a token stands for: itself if it is old."""
        return (token,) if token < self.first else self.replaces[token - self.first]

    def old_tokens(self, spelled: str) -> list[int]:
        """Ids of the old tokenizer for one word."""
        return [t.id for t in self.old.tokenize(spelled)]

    def join(self, left: int, right: int) -> int | None:
        """Add the piece of two tokens; None where an old piece has that text."""
        name = self.names[left] + self.names[right]
        known = self.vocab.get(name)
        if known is not None:
            return known if known >= self.first else None
        score = float(self.pieces[left][1]) + float(self.pieces[right][1]) + _TRIFLE
        return self._new(name, self.old_ids(left) + self.old_ids(right), score)

    def encode(self, spelled: str) -> list[int]:
        """One word in old tokens and new characters."""
        return split_at(spelled, self.vocab, self.first, self.old_tokens)

    def chain(self, ids: Sequence[int]) -> int | None:
        """Add the piece of several tokens, without steps in between; None where a piece has that text."""
        name = "".join(self.names[i] for i in ids)
        if name in self.vocab:
            return None
        score = sum(float(self.pieces[i][1]) for i in ids) + _TRIFLE * (len(ids) - 1)
        return self._new(name, tuple(old for i in ids for old in self.old_ids(i)), score)

    def splits(self, character: str) -> bool:
        """Whether the old tokenizer does not know a character: it writes bytes, or one token for all unknown ones."""
        ids = self.old_tokens(character)
        return character not in self.vocab and (len(ids) > 1 or ids == [self.data["model"].get("unk_id")])

    def character(self, character: str) -> int | None:
        """Make a character that the old tokenizer does not know one piece; None where it knows it."""
        return self._new(character, tuple(self.old_tokens(character)), self._least) if self.splits(character) else None

    def _new(self, name: str, old: tuple[int, ...], score: float) -> int:
        made = self.size
        self.pieces.append([name, score])
        self.vocab[name], self.names[made] = made, name
        self.replaces.append(old)
        return made

    def build(self) -> Tokenizer:
        """The grown tokenizer."""
        return Tokenizer.from_str(json.dumps(self.data, ensure_ascii=False))
