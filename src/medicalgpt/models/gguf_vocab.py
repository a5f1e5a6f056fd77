"""A tokenizer in GGUF's words: its kind, its rule of cutting text, every token with its type, merges or scores.

The file also carries the tokenizer as `tokenizers` serialises it (the key that the GGUF specification has for this), so
that reading it back gives the same token ids for every text; llama.cpp has rules of its own for a few rare texts.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any

from medicalgpt.errors import ModelError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""GGUF's token types."""

SERIALISED = "tokenizer.huggingface.json"
"""The GGUF specification's key for a whole tokenizer.json."""

STOPS = "medicalgpt.stop_token_ids"
"""Key of the list of all stop tokens; llama.cpp itself has room for three."""

RULES = ("llama-bpe", "qwen2", "qwen35", "tekken", "gpt-4o")
"""llama.cpp's names of rules that are one regular expression; transformers keeps the expressions."""


@dataclass
class Vocabulary:
    """What goes into the file. `pre` is for the kind "gpt2" only, `scores` for the other two."""

    kind: str
    pre: str | None
    tokens: list[str]
    types: list[int]
    scores: list[float] | None = None
    merges: list[str] | None = None
    space_prefix: bool = False
    charsmap: bytes | None = None
    serialised: str = ""


def vocabulary(tokenizer: Any, rows: int, pre: str | None = None) -> Vocabulary:
    """Translate a tokenizer for a model with `rows` embeddings; rows without a token get a placeholder.

    Args:
        pre: llama.cpp's name of the tokenizer's rule of cutting text, where it is not found by itself.

    Raises:
        ModelError: a tokenizer without a fast form, of a kind GGUF has no word for, or larger than the model.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(f"the tokenizer ({type(tokenizer).__name__}) has no tokenizer.json form; GGUF export needs one")
    data = json.loads(backend.to_str())
    model, added = data["model"], {t["id"]: t for t in data["added_tokens"]}
    ids = {i: token for token, i in backend.get_vocab(with_added_tokens=True).items()}
    if ids and max(ids) >= rows:
        raise ModelError(f"the tokenizer has tokens up to id {max(ids)}, the model only {rows} embeddings")
    tokens = [ids.get(i, f"[PAD{i}]") for i in range(rows)]
    unknown = model.get("unk_token") if model["type"] == "BPE" else tokenizer.unk_token
    types = [_type(i, tokens[i], i in ids, added.get(i), unknown) for i in range(rows)]
    serialised = backend.to_str()
    if model["type"] == "BPE" and _byte_level(data):
        name = pre or _rule(data["pre_tokenizer"])
        return Vocabulary("gpt2", name, tokens, types, merges=_merges(model), serialised=serialised)
    if pre:
        raise ModelError(f"--pre {pre}: only byte-level BPE has such a rule, this tokenizer is of another kind")
    if model["type"] == "BPE" and model.get("byte_fallback"):
        scores = _ranks(model, tokens)
        types = [BYTE if _is_byte(token) else kind for token, kind in zip(tokens, types)]
        tokens = [_spaced(token, kind) for token, kind in zip(tokens, types)]
        return Vocabulary("llama", None, tokens, types, scores, space_prefix=_space_prefix(data), serialised=serialised)
    if model["type"] == "Unigram":
        scores = [float(s) for _, s in model["vocab"]][:rows]
        scores += [0.0] * (rows - len(scores))
        prefix, charsmap = _space_prefix(data), _charsmap(data["normalizer"])
        return Vocabulary("t5", None, tokens, types, scores, None, prefix, charsmap, serialised)
    raise ModelError(
        f"a {model['type']} tokenizer of this kind has no word in GGUF; supported are byte-level BPE, SentencePiece BPE "
        "with byte fallback, and Unigram"
    )


def split_digits() -> Any:
    """SmolLM's rule: every digit is its own piece, cut off before spaces are grouped; GPT-2's for the rest.

    Without the first, "take  5 mg" (two spaces) gets tokens the model never saw in pretraining.
    """
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    return Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)])


def _type(index: int, token: str, known: bool, added: dict[str, Any] | None, unknown: str | None) -> int:
    if not known:
        return UNUSED
    if token == unknown and not (added and added["special"] and token.startswith("<|")):
        return UNKNOWN
    if added:
        return CONTROL if added["special"] else USER_DEFINED
    return NORMAL


def _byte_level(data: dict[str, Any]) -> bool:
    return any(step["type"] == "ByteLevel" for step in _steps(data["pre_tokenizer"], "pretokenizers"))


def _steps(part: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    """The steps of a serialised normalizer, pre-tokenizer or decoder, which may be a sequence, one or none."""
    if part is None:
        return []
    return list(part[name]) if part["type"] == "Sequence" else [part]


def _rule(pre_tokenizer: dict[str, Any]) -> str:
    """llama.cpp's name for how a byte-level tokenizer cuts text before it merges.

    Raises:
        ModelError: it has none that is known here.
    """
    steps = _steps(pre_tokenizer, "pretokenizers")
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


def _merges(model: dict[str, Any]) -> list[str]:
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]


def _spaced(token: str, kind: int) -> str:
    """llama.cpp looks for tokens of the user's in the text as it is, before spaces are respelled."""
    return token.replace("▁", " ") if kind == USER_DEFINED else token


def _is_byte(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")


def _ranks(model: dict[str, Any], tokens: list[str]) -> list[float]:
    """Scores of a SentencePiece BPE: the earlier a piece is merged, the higher."""
    first: dict[str, int] = {}
    for rank, merge in enumerate(model["merges"]):
        left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
        first.setdefault(left + right, rank)
    last = float(-len(first) - 1)
    return [float(-first[token]) if token in first else last for token in tokens]


def _space_prefix(data: dict[str, Any]) -> bool:
    """Whether a space is put before a text."""
    steps = _steps(data["normalizer"], "normalizers") + _steps(data["pre_tokenizer"], "pretokenizers")
    return any(s["type"] == "Prepend" or s.get("prepend_scheme") in ("first", "always") for s in steps)


def _charsmap(normalizer: dict[str, Any] | None) -> bytes | None:
    steps = _steps(normalizer, "normalizers")
    found = next((s["precompiled_charsmap"] for s in steps if s["type"] == "Precompiled"), None)
    return base64.b64decode(found) if found else None
