"""A GGUF file as it was found: is it whole, what does it hold, and its tokenizer."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from medicalgpt.errors import ModelError
from medicalgpt.gguf.header import Metadata, number_of, read_header
from medicalgpt.gguf.tokenizer import read_tokenizer
from medicalgpt.gguf.vocab import STOPS, UNUSED, placeholder

if TYPE_CHECKING:  # transformers is imported where a tokenizer is asked for only
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class GgufFile:
    """The header of a GGUF file. `metadata` has arrays of strings as their lengths."""

    path: Path
    metadata: Metadata
    types: frozenset[str]
    """Types of its tensors, in gguf's names."""

    @classmethod
    def read(cls, path: Path) -> "GgufFile":
        """Read the header and check that all tensors it speaks of are there.

        Raises:
            ModelError: no GGUF file, one that is cut off, or of a version or type that is not known.
        """
        if not path.is_file():
            raise ModelError(f"{path} is no file; give a .gguf file")
        header, size = read_header(path), path.stat().st_size
        if "general.architecture" not in header.metadata or not header.types:
            raise ModelError(f"{path} holds no model: it has no architecture or no tensors")
        if header.end > size:
            raise ModelError(
                f"{path} is cut off: it has {size:,} bytes, its tensors need {header.end:,}; download or export it again"
            )
        return cls(path, header.metadata, header.types)

    @property
    def architecture(self) -> str:
        """What llama.cpp calls the computation."""
        return str(self.metadata["general.architecture"])

    def fact(self, key: str, default: int = 0) -> int:
        """A number of the architecture, such as "block_count"."""
        return number_of(self.metadata, f"{self.architecture}.{key}", default)

    @property
    def context(self) -> int:
        """Longest text it was trained for.

        Raises:
            ModelError: the file does not say.
        """
        if not self.fact("context_length"):
            raise ModelError(f"{self.path} does not say how long a context it takes; export it again")
        return self.fact("context_length")

    @property
    def numbers_per_token(self) -> int:
        """Numbers that keys and values of one token have, over all layers."""
        heads = self.fact("attention.head_count", 1)
        shared = self.metadata.get(f"{self.architecture}.attention.head_count_kv", heads)  # one number, or one a layer
        total = int(sum(shared)) if isinstance(shared, list) else int(shared) * self.fact("block_count", 1)
        width = self.fact("embedding_length", 1) // heads
        return total * sum(self.fact(f"attention.{part}_length", width) for part in ("key", "value"))

    @property
    def stop_ids(self) -> list[int]:
        """Every token that the file says ends an answer."""
        keys = [f"tokenizer.ggml.{name}_token_id" for name in ("eot", "eos", "eom")]
        named = [number_of(self.metadata, key) for key in keys if key in self.metadata]
        ours = self.metadata.get(STOPS, [])
        return list(dict.fromkeys([*map(int, ours if isinstance(ours, list) else ()), *named]))

    @property
    def unused_ids(self) -> list[int]:
        """Ids that no token has: rows beyond the tokenizer, which converters mark and give a name of their own."""
        types = self.metadata.get("tokenizer.ggml.token_type")
        marked = [i for i, kind in enumerate(types) if kind == UNUSED] if isinstance(types, list) else []
        names = self.tokenizer.convert_ids_to_tokens(marked)
        return [i for i, name in zip(marked, names) if name in (None, placeholder(i))]

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """Its tokenizer with the chat template; raises ModelError as `read_tokenizer`."""
        tokenizer = read_tokenizer(self.path, self.metadata)
        tokenizer.model_max_length = self.context
        return tokenizer


def is_gguf(name: str) -> bool:
    """Whether what a user calls a model is the name of a GGUF file."""
    return name.lower().endswith(".gguf") and not Path(name).expanduser().is_dir()
