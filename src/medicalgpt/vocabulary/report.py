"""What an extended tokenizer saves: tokens per character before and after, by language, and what it cannot write."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from medicalgpt.vocabulary.bpe import Spelling, is_byte, is_byte_level

_HAN = "CJK UNIFIED IDEOGRAPH"
# Characters that one of the two Chinese scripts writes otherwise; enough of them stand in any paragraph.
_SIMPLIFIED = frozenset("们这为个国说时会发对药诊疗压风减临检肿尔类过还应该脏关节内")
_TRADITIONAL = frozenset("們這為個國說時會發對藥診療壓風減臨檢腫爾類過還應該臟關節內")


@dataclass
class TokenCounts:
    """One tokenizer on the texts of one language.

    `partial` counts tokens that stand for parts of characters (bytes), `unknown` unknown tokens, `changed` texts that are
    another text when they are decoded again.
    """

    tokens: int = 0
    partial: int = 0
    unknown: int = 0
    changed: int = 0


@dataclass
class LanguageCounts:
    """One language: texts and characters, and both tokenizers on them; `unlike` are texts that both encode differently."""

    language: str
    texts: int
    characters: int
    old: TokenCounts
    new: TokenCounts
    unlike: int

    @property
    def saved(self) -> float:
        """Share of the old tokens that the new tokenizer does without."""
        return 1 - self.new.tokens / self.old.tokens if self.old.tokens else 0.0


class TokenizerMeter:
    """Counts what a tokenizer does to texts."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        backend = tokenizer.backend_tokenizer
        spelling = Spelling(is_byte_level(backend.to_str()))
        special = set(tokenizer.all_special_tokens)
        self._partial = {
            i
            for token, i in tokenizer.get_vocab().items()
            if token not in special and (spelling.text(token) is None if spelling.byte_level else is_byte(token))
        }

    def read(self, text: str, count: TokenCounts) -> list[int]:
        """Encode a text, add to `count`, and give the ids."""
        # Not through the tokenizer itself, which warns of every text that is longer than a model's context.
        ids: list[int] = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        count.tokens += len(ids)
        count.partial += sum(i in self._partial for i in ids)
        unknown = self.tokenizer.unk_token_id
        count.unknown += 0 if unknown is None else ids.count(unknown)
        count.changed += self.tokenizer.decode(ids, clean_up_tokenization_spaces=False) != text
        return ids


def compare(old: PreTrainedTokenizerBase, new: PreTrainedTokenizerBase, texts: Iterable[str]) -> list[LanguageCounts]:
    """Both tokenizers on every text, by language, the language with most characters first."""
    rows: dict[str, LanguageCounts] = {}
    before, after = TokenizerMeter(old), TokenizerMeter(new)
    for text in texts:
        name = language(text)
        row = rows.setdefault(name, LanguageCounts(name, 0, 0, TokenCounts(), TokenCounts(), 0))
        row.texts += 1
        row.characters += len(text)
        row.unlike += before.read(text, row.old) != after.read(text, row.new)
    return sorted(rows.values(), key=lambda row: -row.characters)


def language(text: str) -> str:
    """zh-Hans, zh-Hant, zh, Latin or other, by the script of most letters."""
    letters = [c for c in text[:20_000] if c.isalpha()]
    han = sum(unicodedata.name(c, "").startswith(_HAN) for c in letters)
    latin = sum(c < "\u0250" for c in letters)
    if not letters or 2 * (han + latin) < len(letters):
        return "other"
    # A character says more than a letter: one word of English has five.
    if 5 * han < latin:
        return "Latin"
    simplified, traditional = (sum(c in script for c in letters) for script in (_SIMPLIFIED, _TRADITIONAL))
    if simplified == traditional:
        return "zh"
    return "zh-Hans" if simplified > traditional else "zh-Hant"


def lines(rows: Sequence[LanguageCounts]) -> list[str]:
    """The table in words and numbers, one language a line, and under it what is not as it should be."""
    out = [
        f"{'language':<9}{'characters':>12}{'tokens/char before':>20}{'after':>8}{'saved':>8}{'parts of characters':>22}"
    ]
    for row in rows:
        n = max(row.characters, 1)
        parts = f"{row.old.partial / max(row.old.tokens, 1):.1%} → {row.new.partial / max(row.new.tokens, 1):.1%}"
        out.append(
            f"{row.language:<9}{row.characters:>12,}{row.old.tokens / n:>20.3f}{row.new.tokens / n:>8.3f}{row.saved:>8.1%}{parts:>22}"
        )
    for row in rows:
        if not row.unlike:
            out.append(f"{row.language}: all {row.texts} texts are encoded as before")
        for name, count in (("before", row.old), ("after", row.new)):
            if count.unknown:
                out.append(
                    f"warning: {row.language}, {name}: {count.unknown / count.tokens:.2%} of the tokens are unknown"
                )
            if count.changed:
                out.append(
                    f"warning: {row.language}, {name}: {count.changed} of {row.texts} texts decode to another text"
                )
    return out
