"""Tokenizers as files."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # lazy: heavy
    from transformers import PreTrainedTokenizerBase


def save_tokenizer(tokenizer: "PreTrainedTokenizerBase", folder: Path | str) -> None:
    """Write a tokenizer without how this process came to it: equal runs leave equal files, with a network or without."""
    for fact in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(fact, None)
    tokenizer.save_pretrained(str(folder))
