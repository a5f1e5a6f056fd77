"""Byte-level BPE by `tiktoken`, several times as quick as `tokenizers`, where its ids are provably the same.

`tiktoken` joins the neighbours whose bytes together are the token of the lowest id, `tokenizers` those that stand first in its
list of merges. Let the list be in the order of the ids that it makes, and let `tiktoken` know just the tokens that their own bytes
are joined to. Then both join alike. Say they have so far, and one of them goes on with a pair that makes the token T. Nothing was
joined across the ends of T, so what happened within them is what happens when T's bytes are encoded alone. If `tokenizers` goes
on so, T's bytes alone become T, and `tiktoken` knows it. If `tiktoken` does, T's bytes alone become T by the one join that is left,
of this very pair, and it stands in the list. An added token's name is text, and an ordinary one's name spells bytes: one that is both
is joined by both, unless its name is ASCII, which is cut out of any text before.

What stands before the joining, the expression that cuts text into words, looks ahead in a single place: of a run of white space
the last character goes with what follows. Looking ahead takes `tiktoken` twice the time of everything else, and its stack in a run of a
million spaces. So the text is cut there before, and the expression does without. Both libraries bring Unicode tables of their own age;
a text with a character that not all ages have alike is left to `tokenizers`.
"""

import gc
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from itertools import pairwise, permutations
from typing import Any, Final, NamedTuple

import numpy as np
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from medicalgpt.rendering.spelling import characters

_WORTH: Final = (
    1 << 20
)  # characters that are encoded before the vocabulary is looked through, which takes up to a second
_PART: Final = (
    32  # characters: of shorter parts than these, asking for each takes longer; half as many more an added token
)
_ADDED: Final = 512  # tokens: each is handed over with every text
_SHORT: Final = 200  # characters: a batch of one is handed to another thread, which takes longer than so short a text

_GPT2: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_KNOWN: Final = frozenset(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    )
)
"""The expressions of GPT-2, of cl100k with the Llama 3 line, and of the Qwen lines, as tokenizer.json has them. Each matches
every character: what is matched by none `tiktoken` would leave out."""

_WHITE: Final = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_WITHIN_LINE: Final = "\t\x0b\x0c \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

_UNSURE, _SURE, _SPACE = range(3)  # what a character is here; the last is sure, too
_TWO_SPACES: Final = bytes([_SPACE, _SPACE])


class _Cutting(NamedTuple):
    """An expression that does not look ahead, and one that finds the runs of white space before whose last character it must find
    the text cut."""

    words: str
    runs: str


class Ranks:
    """Encodes text as `backend` does, with nothing added: without truncation, padding or `encode_special_tokens`, which the caller
    looks for, and with the added tokens that it has when a million characters have been encoded."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self._seen = 0

    def expect(self, characters: int) -> None:
        """About so many characters will be encoded, so that what pays with many may be found out at once."""
        self._seen += characters
        if self._seen >= _WORTH:
            _ = self._quick

    def ids(self, text: str) -> np.ndarray:
        """Ids of a text, int32 of shape [tokens]."""
        if self._seen < _WORTH:
            self._seen += len(text)
        elif self._quick is not None and (ids := self._quick.ids(text)) is not None:
            return ids
        return np.asarray(encoded(self.backend, text), np.int32)

    @cached_property
    def _quick(self) -> "_Quick | None":
        with _not_collecting():
            return _Quick.of(self.backend)


@contextmanager
def _not_collecting() -> Iterator[None]:
    """Without looking for garbage, of which there is none: a vocabulary is so many new objects at once that Python would look
    through all that there are, half a second where transformers is loaded."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Quick:
    """`tiktoken` with the vocabulary of a backend that it is proven to encode as.

    Args:
        missing: bytes that have no token.
        normal: texts must be in normal form C already.
    """

    def __init__(
        self, cutting: _Cutting, ranks: dict[bytes, int], special: dict[str, int], missing: frozenset[int], normal: bool
    ) -> None:
        import tiktoken

        self._given = cutting, ranks, special, missing, normal
        encoding = tiktoken.Encoding("", pat_str=cutting.words, mergeable_ranks=ranks, special_tokens=special)
        self._encode, self._special = encoding.encode_to_numpy, encoding.special_tokens_set
        ends = "|".join(map(re.escape, special))  # a text is cut at these before, so that a run before one ends it
        self._runs = re.compile(f"{cutting.runs}(?!{ends})" if ends else cutting.runs)
        self._kinds, self._normal = _kinds(missing), normal

    def __reduce__(self) -> tuple[type["_Quick"], tuple[object, ...]]:
        """What was proven is not proven again in another process."""
        return _Quick, self._given

    @classmethod
    def of(cls, backend: Any) -> "_Quick | None":
        """None where it is not proven for this backend."""
        if not isinstance(backend.model, models.BPE) or not isinstance(backend.normalizer, normalizers.NFC | None):
            return None
        cutting, normal = _cutting(backend), backend.normalizer is not None
        tokens = backend.get_added_tokens_decoder()
        if cutting is None or len(tokens) > _ADDED or not all(_is_plain(token, normal) for token in tokens.values()):
            return None
        added = {token.content: int(index) for index, token in tokens.items()}
        ranks = _ranks(backend.model, added) if _apart(added) else None
        if ranks is None:
            return None
        missing = frozenset(byte for byte in range(256) if bytes([byte]) not in ranks)
        return None if missing & _BEYOND_ASCII else cls(cutting, ranks, added, missing, normal)

    def sure(self, text: str) -> bool:
        """Whether this text is encoded as the backend does."""
        return self._is_sure(text, self._of(text))

    def _of(self, text: str) -> bytes:
        """What its characters are, a byte each; two, unsure, for one beyond U+FFFF, as for each half of a pair alone."""
        codes = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")
        return self._kinds.take(codes).tobytes()

    def _is_sure(self, text: str, kinds: bytes) -> bool:
        if _UNSURE in kinds:
            return False
        return not self._normal or unicodedata.is_normalized("NFC", text)

    def ids(self, text: str) -> np.ndarray | None:
        """Ids of a text, int32 of shape [tokens]; None where the backend must say, or is quicker."""
        kinds = self._of(text)
        if not self._is_sure(text, kinds):
            return None
        cuts = [run.end() - 1 for run in self._runs.finditer(text)] if _TWO_SPACES in kinds else []
        if not cuts:
            return self._part(text)
        if len(cuts) * (_PART + len(self._special) // 2) > len(text):
            return None
        return np.concatenate([self._part(text[begin:end]) for begin, end in pairwise((0, *cuts, len(text)))])

    def _part(self, text: str) -> np.ndarray:
        found: np.ndarray = self._encode(text, allowed_special=self._special, disallowed_special=())
        return found.view(np.int32)


_BEYOND_ASCII: Final = frozenset((*range(0x80, 0xC0), *range(0xC2, 0xF0)))
"""The bytes that UTF-8 writes characters up to U+FFFF with."""


def encoded(backend: Tokenizer, text: str) -> list[int]:
    """Ids of a text with nothing added. Of a long one without the places of its tokens, which take half of the time."""
    if len(text) <= _SHORT:
        ids: list[int] = backend.encode(text, add_special_tokens=False).ids
    else:
        ids = backend.encode_batch_fast([text], add_special_tokens=False)[0].ids
    return ids


def _cutting(backend: Any) -> _Cutting | None:
    """How the backend's pre-tokenizer cuts text into words; None for a way that is not known here."""
    if backend.pre_tokenizer is None:
        return None
    try:
        written = json.loads(backend.pre_tokenizer.__getstate__())
    except Exception:  # of no kind of its own: one that is written in Python has nothing to write down
        return None
    match written["pretokenizers"] if written["type"] == "Sequence" else [written]:
        case [{"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}]:
            return _Cutting(_unseeing(_GPT2), _runs_before(f"[^{_WHITE}]"))
        case [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        ]:  # each digit is cut off before the rest is looked at, so that a run before one ends it
            words = _unseeing(_GPT2).replace(r" ?\p{N}+", r"\p{N}")
            return _Cutting(words, _runs_before(f"[^{_WHITE}{_ranges('N')}]"))
        case [
            {"type": "Split", "pattern": {"Regex": str(expression)}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
        ] if expression in _KNOWN:  # a run up to its last line break is a word
            return _Cutting(_unseeing(expression), f"[{_WHITE}][{_WITHIN_LINE}](?=[^{_WHITE}])")
    return None


def _runs_before(what: str) -> str:
    """Whole runs of two and more: each is looked at once, where a search from every place in it would take its square."""
    return f"(?<![{_WHITE}])[{_WHITE}]{{2,}}+(?={what})"


def _unseeing(expression: str) -> str:
    return expression.replace(r"|\s+(?!\S)", "")


def _is_plain(token: AddedToken, normal: bool) -> bool:
    """Whether it is looked for as it is written, wherever it stands. `normal`: in texts of normal form C."""
    elsewhere = token.single_word or token.lstrip or token.rstrip
    return not elsewhere and (not normal or unicodedata.is_normalized("NFC", token.content))


def _apart(added: Iterable[str]) -> bool:
    """Whether no two of these texts can overlap, so that it is all one in which order they are looked for, and none holds white
    space, where text is cut."""
    whole = set(added)
    if any(re.search(f"[{_WHITE}]", text) for text in whole):
        return False
    begins = {text[:end] for text in whole for end in range(1, len(text) + 1)}
    overlapping = any(text[at:] in begins for text in whole for at in range(1, len(text)))
    return "" not in whole and not overlapping and not any(a in b for a, b in permutations(whole, 2))


def _ranks(model: Any, added: Mapping[str, int]) -> dict[bytes, int] | None:
    """The ids of all tokens that can come out of joining, by their bytes; None where joining follows other rules."""
    state = json.loads(model.__getstate__())
    if any(state.get(key) for key in ("dropout", "fuse_unk", "byte_fallback", *_AFFIXES)):
        return None
    vocabulary: dict[str, int] = state["vocab"]
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ", 1)) for pair in state["merges"]]
    made = [vocabulary.get(left + right, -1) for left, right in merges]  # two tokens of one id are written down as one
    if -1 in made or any(before > after for before, after in pairwise(made)):
        return None
    byte_of = characters()
    ordinary = (token for token in vocabulary if token not in added or not token.isascii())
    tokens = [token for token in ordinary if byte_of.keys() >= set(token)]
    joined = _joined(vocabulary, merges, tokens)
    if state.get("ignore_merges") and len(joined) < len(tokens):
        return None  # such a token is a word's id, and joins nothing
    return {bytes(map(byte_of.__getitem__, token)): vocabulary[token] for token in joined}


_AFFIXES: Final = ("continuing_subword_prefix", "end_of_word_suffix")


def _joined(vocabulary: dict[str, int], merges: list[Any], tokens: Sequence[str]) -> list[str]:
    """Those tokens that their own bytes are joined to. No other comes out of any text."""
    alone = Tokenizer(models.BPE(vocabulary, merges))
    wanted = [vocabulary[token] for token in tokens]
    if (
        set("".join(tokens)) <= vocabulary.keys()
    ):  # each of them gives one id at least, so as many ids as tokens are one of each
        alone.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(" ")
        if alone.encode_batch_fast([" ".join(tokens)], add_special_tokens=False)[0].ids == wanted:
            return list(tokens)
        alone.pre_tokenizer = None
    found = alone.encode_batch_fast(list(tokens), add_special_tokens=False)
    return [token for token, ids, index in zip(tokens, found, wanted) if ids.ids == [index]]


def _kinds(missing: frozenset[int]) -> np.ndarray:
    """What the character of each code up to U+FFFF is, uint8 of shape [65536]: sure, where every edition of Unicode since 3.2 has it
    alike and it is none of these bytes of ASCII."""
    found = np.full(1 << 16, _UNSURE, np.uint8)
    codes = [code for code in _codes("LMNPSZC") if code not in missing or code >= 0x80]
    found[codes] = _SURE
    space = re.compile(f"[{_WHITE}]")
    found[[code for code in codes if space.match(chr(code))]] = _SPACE
    return found


@lru_cache
def _ranges(kinds: str) -> str:
    """Ranges of the characters of these kinds (first letters of their categories)."""
    codes = _codes(kinds)
    begins = [codes[0], *(b for a, b in pairwise(codes) if b > a + 1)]
    ends = [*(a for a, b in pairwise(codes) if b > a + 1), codes[-1]]
    return "".join(f"{re.escape(chr(a))}-{re.escape(chr(b))}" for a, b in zip(begins, ends))


def _codes(kinds: str) -> list[int]:
    """The codes of those characters, up to U+FFFF."""
    old = unicodedata.ucd_3_2_0
    return [
        code
        for code in range(1 << 16)
        if (kind := old.category(chr(code))) not in ("Cn", "Cs", "Co")
        and kind[0] in kinds
        and kind[0] == unicodedata.category(chr(code))[0]
    ]
