"""Which tokens a text asks for: byte-pair encoding, gone on with from where a tokenizer stopped.

Counting starts at the old tokenizer's own tokens, so every new token is one that the text really contains. First come
characters that the old tokenizer splits, then words out of whole tokens. tokenizers' trainer finds the words: it reads
old tokens as the letters of a private alphabet. What both would have been counted at when they were made decides which
of them are kept.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tokenizers import Tokenizer, models, trainers

from medicalgpt.vocabulary.bpe import GrowingBpe
from medicalgpt.vocabulary.unigram import GrowingUnigram

_SURROGATES = range(0xD800, 0xE000)  # no characters of their own

Words = Counter[str]
Growing = GrowingBpe | GrowingUnigram


@dataclass(frozen=True)
class Wanted:
    """What new tokens may be.

    Tokens longer than `max_characters` are not made, nor tokens seen less than `min_count` times. Without `ascii` no new
    token holds an ASCII character, so that text without others keeps its encoding.
    """

    size: int
    min_count: int = 5
    max_characters: int = 6
    ascii: bool = False

    def allows(self, text: str | None) -> bool:
        """Whether a token with this text may be (part of) a new word: letters, and with `ascii` a space in front."""
        if not text or len(text) > self.max_characters:
            return False
        letters = text.removeprefix(" ") if self.ascii else text
        return all(self._letter(c) for c in letters)

    def _letter(self, c: str) -> bool:
        return (self.ascii or not c.isascii()) and unicodedata.category(c)[0] in "LM"


def count_words(backend: Tokenizer, texts: Iterable[str]) -> Words:
    """Words (what the tokenizer never joins across) as its vocabulary spells them, with how often each occurs."""
    normal, cut = backend.normalizer, backend.pre_tokenizer
    words: Words = Counter()
    for text in texts:
        plain = text if normal is None else normal.normalize_str(text)
        words.update([plain] if cut is None else (word for word, _ in cut.pre_tokenize_str(plain)))
    return words


@dataclass
class _Candidates:
    """Characters with their counts, and merges of words (left, right: texts of the private alphabet) with theirs."""

    characters: list[tuple[str, int]] = field(default_factory=list)
    merges: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)
    """Letter of the private alphabet → name of the token it stands for."""


def learn(grown: Growing, words: Words, wanted: Wanted) -> None:
    """Add up to `wanted.size` tokens to `grown`, the most frequent first."""
    found = _candidates(grown, words, wanted)
    order = sorted(
        [(-count, 0, i) for i, (_, count) in enumerate(found.characters)]
        + [(-found.counts[a + b], 1, i) for i, (a, b) in enumerate(found.merges)]
    )
    trial = _copy(grown)
    characters, merges = set[int](), set[int]()
    for _, is_merge, i in order:
        before = trial.size
        if before - trial.first >= wanted.size:
            break
        if is_merge:
            _join(trial, found, i, wanted)
        else:
            trial.character(found.characters[i][0])
        if trial.size - trial.first > wanted.size:  # a character of several steps that no longer fits
            break
        (merges if is_merge else characters).add(i)
    # Characters go before words: words are made of them, whatever order their counts have.
    for i, (character, _) in enumerate(found.characters):
        if i in characters:
            grown.character(character)
    for i in range(len(found.merges)):
        if i in merges:
            _join(grown, found, i, wanted)


def _copy(grown: Growing) -> Growing:
    return type(grown)(grown.build())


def _join(grown: Growing, found: _Candidates, i: int, wanted: Wanted) -> None:
    """Add one merge of words, if both of its sides are there and it is none too long."""
    names = ["".join(found.letters[c] for c in side) for side in found.merges[i]]
    left, right = (grown.vocab.get(name) for name in names)
    if left is not None and right is not None and wanted.allows(grown.spelling.text("".join(names))):
        grown.join(left, right)


def _candidates(grown: Growing, words: Words, wanted: Wanted) -> _Candidates:
    found = _Candidates(characters=_characters(grown, words, wanted))
    trial = _copy(grown)
    for character, _ in found.characters:
        trial.character(character)
    rows = _rows(trial, words, wanted, found)
    found.merges = _merges(rows, len(found.letters), wanted)
    found.counts = _counts(found.merges, rows)
    return found


def _characters(grown: Growing, words: Words, wanted: Wanted) -> list[tuple[str, int]]:
    """Characters that the old tokenizer splits and the text has often enough, the most frequent first."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in grown.spelling.characters(word):
            counts[character] += count
    often = sorted(((c, n) for c, n in counts.items() if n >= wanted.min_count), key=lambda x: (-x[1], x[0]))
    return [(c, n) for c, n in often if not c.isascii() and c != "\ufffd" and grown.splits(c)]


def _rows(trial: Growing, words: Words, wanted: Wanted, found: _Candidates) -> Counter[str]:
    """Runs of tokens that may be joined, in the private alphabet; what may not be joined ends a run."""
    model = trial.build().model
    letter_of: dict[int, str] = {}
    rows: Counter[str] = Counter()
    for word, count in words.items():
        run = ""
        for token in model.tokenize(word):
            text = trial.spelling.text(token.value)
            if token.id not in letter_of:
                letter_of[token.id] = _letter(len(found.letters)) if wanted.allows(text) else ""
                if letter_of[token.id]:
                    found.letters[letter_of[token.id]] = token.value
            letter = letter_of[token.id]
            if not letter or (text or "").startswith(" "):  # a word begins at its space, never ends with one
                rows[run] += count
                run = ""
            run += letter
        rows[run] += count
    return Counter({row: n for row, n in rows.items() if len(row) > 1})


def _letter(number: int) -> str:
    code = 0x100 + number
    return chr(code if code < _SURROGATES.start else code + len(_SURROGATES))


def _merges(rows: Counter[str], letters: int, wanted: Wanted) -> list[tuple[str, str]]:
    """The merges that tokenizers' BPE trainer finds in the runs, in its order."""
    inner = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=letters + wanted.size,
        min_frequency=wanted.min_count,
        max_token_length=wanted.max_characters + 1,  # it stops one short of it
        show_progress=False,
    )
    inner.train_from_iterator((row for row, count in sorted(rows.items()) for _ in range(count)), trainer)
    learned: list[tuple[str, str]] = json.loads(inner.to_str())["model"]["merges"]
    return [(a, b) for a, b in learned]


def _counts(merges: Sequence[tuple[str, str]], rows: Counter[str]) -> dict[str, int]:
    """How often each merged run occurred when it was made: its uses, and those of everything made out of it."""
    names = {c for row in rows for c in row} | {a + b for a, b in merges}
    model = models.BPE(vocab={name: i for i, name in enumerate(sorted(names))}, merges=list(merges))
    counts: Counter[str] = Counter()
    for row, count in rows.items():
        for token in model.tokenize(row):
            counts[token.value] += count
    done = set[str]()
    for a, b in reversed(merges):
        if a + b not in done:  # a run with two ways to it is counted on the one that came last
            done.add(a + b)
            for side in (a, b):
                counts[side] += counts[a + b]
    return dict(counts)
