"""The tokenizer in a GGUF file: as it was before the export, or else rebuilt from GGUF's own words for it."""

from pathlib import Path
from typing import TYPE_CHECKING

from medicalgpt.errors import ModelError
from medicalgpt.gguf.header import Metadata, number_of
from medicalgpt.gguf.vocab import SERIALIZED, split_digits

if TYPE_CHECKING:  # transformers is imported where a tokenizer is asked for only
    from transformers import PreTrainedTokenizerBase

_GGML = "tokenizer.ggml"
_GPT2 = ("gpt-2", "phi-2")  # rules that cut text as GPT-2 does
_DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell")  # and those that take digits apart before
_SPECIAL = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


def read_tokenizer(path: Path, metadata: Metadata) -> "PreTrainedTokenizerBase":
    """A transformers tokenizer with the file's chat template.

    Args:
        metadata: of the file at `path`.

    Raises:
        ModelError: GGUF's words for it are not known here; prompts would get other tokens than in training.
    """
    if SERIALIZED in metadata:
        return _as_it_was(metadata)
    kind, rule = metadata.get(f"{_GGML}.model"), metadata.get(f"{_GGML}.pre")
    if kind not in ("gpt2", "llama"):
        raise _unknown(path, f"is of the kind {kind!r}")
    if kind == "gpt2" and rule not in (*_GPT2, *_DIGITS, *_known_rules()):
        raise _unknown(path, f"cuts text by the rule {rule!r}")
    return _rebuilt(path, metadata)


def _as_it_was(metadata: Metadata) -> "PreTrainedTokenizerBase":
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(str(metadata[SERIALIZED]))
    keys = {name: f"{_GGML}.{key}_token_id" for name, key in _SPECIAL.items()}
    special = {name: backend.id_to_token(number_of(metadata, key)) for name, key in keys.items() if key in metadata}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    tokenizer.chat_template = metadata.get("tokenizer.chat_template")
    return tokenizer


def _rebuilt(path: Path, metadata: Metadata) -> "PreTrainedTokenizerBase":
    from tokenizers import decoders
    from transformers import PreTrainedTokenizerFast

    try:
        tokenizer: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(
            str(path.parent), gguf_file=path.name
        )
    except (ValueError, KeyError, OSError) as error:
        raise ModelError(f"{path}: its tokenizer cannot be read: {error}") from error
    backend = tokenizer.backend_tokenizer
    # transformers does not know these two facts.
    if metadata.get(f"{_GGML}.pre") in _DIGITS:
        backend.pre_tokenizer = split_digits()
    if metadata.get(f"{_GGML}.add_space_prefix") is False and hasattr(backend.pre_tokenizer, "prepend_scheme"):
        backend.pre_tokenizer.prepend_scheme = "never"
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        backend.decoder = decoders.Sequence(steps)
    return tokenizer


def _known_rules() -> list[str]:
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    return list(GGUF_PRE_TOKENIZER_SPLITS)


def _unknown(path: Path, what: str) -> ModelError:
    return ModelError(
        f"{path}: its tokenizer {what}, which is not known here; prompts would get other tokens than in training. "
        "Export the model again with: medicalgpt export gguf"
    )
