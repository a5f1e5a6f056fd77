"""A tokenizer in GGUF's words: its kind, its rule of cutting text, every token with its type, merges or scores.

The file also carries the tokenizer as `tokenizers` serializes it (the key that the GGUF specification has for this), so
that reading it back gives the same token ids for every text; llama.cpp has rules of its own for a few rare texts.
"""

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medicalgpt.errors import ModelError

if TYPE_CHECKING:  # imported where a tokenizer is built only
    from tokenizers.pre_tokenizers import Sequence
    from transformers import PreTrainedTokenizerBase

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""GGUF's token types."""

SERIALIZED = "tokenizer.huggingface.json"
"""The GGUF specification's key for a whole tokenizer.json."""

STOPS = "medicalgpt.stop_token_ids"
"""Key of the list of all stop tokens; llama.cpp itself has room for three."""

RULES = ("llama-bpe", "qwen2", "qwen35", "tekken", "gpt-4o")
"""llama.cpp's names of rules that are one regular expression; transformers keeps the expressions."""


_AFTER_SPECIAL = (
    "llama.cpp's own tokenizer puts a space behind special tokens, this one does not: other programs than MedicalGPT give "
    "the model slightly other prompts"
)


Part = dict[str, Any]
"""A part of a tokenizer.json, whose keys depend on its "type"."""


@dataclass(frozen=True)
class Vocabulary:
    """What goes into the file: `pre` and `merges` of the kind "gpt2", the rest of "llama" (SentencePiece) and "t5" (Unigram)."""

    kind: str
    tokens: list[str]
    types: list[int]
    serialized: str
    pre: str | None = None
    merges: list[str] | None = None
    scores: list[float] | None = None
    space_prefix: bool = False
    charsmap: bytes | None = None
    notes: tuple[str, ...] = ()

    @property
    def unknown(self) -> int | None:
        """Id of the token for what the vocabulary cannot spell."""
        return self.types.index(UNKNOWN) if UNKNOWN in self.types else None


def vocabulary(tokenizer: "PreTrainedTokenizerBase", rows: int, pre: str | None = None) -> Vocabulary:
    """Translate a tokenizer for a model with `rows` embeddings; rows without a token get a placeholder.

    Args:
        pre: llama.cpp's name of the tokenizer's rule of cutting text, where it is not found by itself.

    Raises:
        ModelError: a tokenizer without a fast form, of a kind GGUF has no word for, or larger than the model.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            f"the tokenizer ({type(tokenizer).__name__}) has no tokenizer.json form; GGUF export needs one"
        )
    serialized = backend.to_str()
    data = json.loads(serialized)
    model = data["model"]
    ids = {i: token for token, i in backend.get_vocab(with_added_tokens=True).items()}
    if max(ids) >= rows:
        raise ModelError(f"the tokenizer has tokens up to id {max(ids)}, the model only {rows} embeddings")
    added = {token["id"]: token["special"] for token in data["added_tokens"]}
    tokens = [ids.get(i, placeholder(i)) for i in range(rows)]
    types = [_type(tokens[i], i in ids, added.get(i), _unknown(model)) for i in range(rows)]
    if model["type"] == "BPE" and any(s["type"] == "ByteLevel" for s in _steps(data["pre_tokenizer"])):
        rule = pre or _rule(data["pre_tokenizer"])
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        return Vocabulary("gpt2", tokens, types, serialized, pre=rule, merges=merges)
    if pre:
        raise ModelError(f"--pre {pre}: only byte-level BPE has such a rule, this tokenizer is of another kind")
    if model["type"] == "BPE" and model.get("byte_fallback"):
        return _sentencepiece(data, tokens, types, serialized)
    if model["type"] == "Unigram":
        scores = [float(score) for _, score in model["vocab"]]
        scores += [0.0] * (rows - len(scores))
        prefix, charsmap = _space_prefix(data), _charsmap(data["normalizer"])
        return Vocabulary("t5", tokens, types, serialized, scores=scores, space_prefix=prefix, charsmap=charsmap)
    raise ModelError(
        f"a {model['type']} tokenizer of this kind has no word in GGUF; supported are byte-level BPE, SentencePiece BPE "
        "with byte fallback, and Unigram"
    )


def placeholder(row: int) -> str:
    """What a row without a token is called, here and by llama.cpp's own converter."""
    return f"[PAD{row}]"


def _sentencepiece(data: Part, tokens: list[str], types: list[int], serialized: str) -> Vocabulary:
    scores = _ranks(data["model"], tokens)
    types = [BYTE if _is_byte(token) else kind for token, kind in zip(tokens, types)]
    # llama.cpp looks for tokens of the user's in the text as it is, before spaces are respelled.
    tokens = [token.replace("▁", " ") if kind == USER_DEFINED else token for token, kind in zip(tokens, types)]
    first = any(step.get("prepend_scheme") == "first" for step in _steps(data["pre_tokenizer"]))
    notes = (_AFTER_SPECIAL,) if first else ()
    prefix = _space_prefix(data)
    return Vocabulary("llama", tokens, types, serialized, scores=scores, space_prefix=prefix, notes=notes)


def split_digits() -> "Sequence":
    """SmolLM's rule: every digit is its own piece, cut off before spaces are grouped; GPT-2's for the rest.

    Without the first, "take  5 mg" (two spaces) gets tokens the model never saw in pretraining.
    """
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    return Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)])


def _type(token: str, known: bool, special: bool | None, unknown: str | None) -> int:
    """GGUF's type of a token; `special` is None for one that was not added to the vocabulary."""
    if not known:
        return UNUSED
    if token == unknown:
        return UNKNOWN
    if special is None:
        return NORMAL
    return CONTROL if special else USER_DEFINED


def _unknown(model: Part) -> str | None:
    """The token for what the vocabulary cannot spell."""
    if model["type"] == "Unigram" and model["unk_id"] is not None:
        return str(model["vocab"][model["unk_id"]][0])
    return model.get("unk_token")


def _steps(part: Part | None) -> list[Part]:
    """The steps of a serialized normalizer or pre-tokenizer, which may be a sequence, one or none."""
    if part is None:
        return []
    if part["type"] != "Sequence":
        return [part]
    return list(part.get("pretokenizers") or part.get("normalizers") or [])


def _rule(pre_tokenizer: Part) -> str:
    """llama.cpp's name for how a byte-level tokenizer cuts text before it merges.

    Raises:
        ModelError: it has none that is known here.
    """
    steps = _steps(pre_tokenizer)
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"] and steps[0]["use_regex"]:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0]["individual_digits"] and steps[1]["use_regex"]:
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not steps[1]["use_regex"] and steps[0]["behavior"] == "Isolated":
        expression = steps[0]["pattern"].get("Regex")
        found = next((name for name, known in expressions().items() if known == expression), None)
        if found:
            return found
    raise ModelError(
        "llama.cpp names the rule by which a byte-level tokenizer cuts text, and this tokenizer's is not known here; if "
        "you know llama.cpp's name for it, give it as --pre NAME"
    )


def expressions() -> dict[str, str]:
    """Regular expressions by llama.cpp's name."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    return {name: GGUF_PRE_TOKENIZER_SPLITS[name] for name in RULES}


def _is_byte(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")


def _ranks(model: Part, tokens: list[str]) -> list[float]:
    """Scores of a SentencePiece BPE: the earlier a piece is merged, the higher."""
    first: dict[str, int] = {}
    for rank, merge in enumerate(model["merges"]):
        left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
        first.setdefault(left + right, rank)
    last = float(-len(first) - 1)
    return [float(-first[token]) if token in first else last for token in tokens]


def _space_prefix(data: Part) -> bool:
    """Whether a space is put before a text."""
    steps = _steps(data["normalizer"]) + _steps(data["pre_tokenizer"])
    return any(s["type"] == "Prepend" or s.get("prepend_scheme") in ("first", "always") for s in steps)


def _charsmap(normalizer: Part | None) -> bytes | None:
    steps = _steps(normalizer)
    found = next((s["precompiled_charsmap"] for s in steps if s["type"] == "Precompiled"), None)
    return base64.b64decode(found) if found else None
