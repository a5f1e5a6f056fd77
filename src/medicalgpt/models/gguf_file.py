"""A GGUF file as it was found: is it whole, what does it hold, and its tokenizer."""

import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from medicalgpt.errors import ModelError
from medicalgpt.models.gguf_vocab import SERIALISED, STOPS, split_digits

_TOKENIZER = "tokenizer.ggml"
_GPT2 = ("gpt-2", "phi-2")  # rules that cut as GPT-2 does
_DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell")  # and those that take digits apart before


@dataclass(frozen=True)
class GgufFile:
    """The header of a GGUF file. `metadata` has arrays of strings as their lengths."""

    path: Path
    metadata: dict[str, Any]
    types: frozenset[str]
    """Types of its tensors, in gguf's names."""

    @classmethod
    def read(cls, path: Path) -> "GgufFile":
        """Read the header and check that all tensors it speaks of are there.

        Raises:
            ModelError: no GGUF file, one that is cut off, or of a version or type that is not known.
        """
        import gguf
        from transformers.integrations.gguf.reader import GgufHeader, read_gguf_metadata

        if not path.is_file():
            raise ModelError(f"{path} is no file; give a .gguf file")
        size = path.stat().st_size
        if size < 24 or path.open("rb").read(4) != b"GGUF":
            raise ModelError(f"{path} is no GGUF file (it does not begin with the letters GGUF); download it again")
        try:
            metadata, _ = read_gguf_metadata(str(path))
            header = GgufHeader.from_file(str(path))
        except (struct.error, UnicodeDecodeError, IndexError) as error:
            raise ModelError(f"{path} is cut off or damaged: its header ends too early; download it again") from error
        except (ValueError, KeyError) as error:
            raise ModelError(f"{path} cannot be read: {error}") from error
        end = max((header.data_start + t.offset + t.nbytes for t in header.tensors), default=0)
        if not header.tensors or end > size:
            raise ModelError(
                f"{path} is cut off: it has {size:,} bytes, its tensors need {end:,}; download or export it again"
            )
        types = {gguf.GGMLQuantizationType(t.ggml_type).name for t in header.tensors}
        return cls(path, metadata, frozenset(types))

    @property
    def architecture(self) -> str:
        """What llama.cpp calls the computation."""
        return str(self.metadata["general.architecture"])

    def fact(self, key: str, default: Any = None) -> Any:
        """A number of the architecture, such as "block_count"."""
        return self.metadata.get(f"{self.architecture}.{key}", default)

    @property
    def context(self) -> int:
        """Longest text it was trained for.

        Raises:
            ModelError: the file does not say.
        """
        if not self.fact("context_length"):
            raise ModelError(f"{self.path} does not say how long a context it takes; export it again")
        return int(self.fact("context_length"))

    @property
    def numbers_per_token(self) -> int:
        """Numbers that keys and values of one token have, over all layers."""
        heads = int(self.fact("attention.head_count", 1))
        shared = self.fact("attention.head_count_kv", heads)
        layers = int(self.fact("block_count", 1))
        total = sum(shared) if isinstance(shared, list) else int(shared) * layers
        width = int(self.fact("embedding_length", 1)) // heads
        sizes = (self.fact(f"attention.{part}_length", width) for part in ("key", "value"))
        return total * sum(map(int, sizes))

    @property
    def stop_ids(self) -> list[int]:
        """Every token that the file says ends an answer."""
        named = [self.metadata.get(f"{_TOKENIZER}.{name}_token_id") for name in ("eot", "eos", "eom")]
        return list(dict.fromkeys([*self.metadata.get(STOPS, []), *(i for i in named if i is not None)]))

    @cached_property
    def tokenizer(self) -> Any:
        """Its tokenizer with the chat template: as it was before the export, or else rebuilt from GGUF's own words.

        Raises:
            ModelError: GGUF's words for it are not known here.
        """
        from transformers import PreTrainedTokenizerFast

        if SERIALISED in self.metadata:
            tokenizer = self._as_it_was()
        else:
            if self.metadata.get(f"{_TOKENIZER}.model") == "gpt2":
                self._check_rule()
            try:
                tokenizer = PreTrainedTokenizerFast.from_pretrained(str(self.path.parent), gguf_file=self.path.name)
            except (ValueError, KeyError, OSError) as error:
                raise ModelError(f"{self.path}: its tokenizer cannot be read: {error}") from error
            if self.metadata.get(f"{_TOKENIZER}.pre") in _DIGITS:
                tokenizer.backend_tokenizer.pre_tokenizer = split_digits()
        tokenizer.model_max_length = self.context
        return tokenizer

    def _as_it_was(self) -> Any:
        from tokenizers import Tokenizer
        from transformers import PreTrainedTokenizerFast

        backend = Tokenizer.from_str(self.metadata[SERIALISED])
        names = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
        ids = {name: self.metadata.get(f"{_TOKENIZER}.{key}_token_id") for name, key in names.items()}
        special = {name: backend.id_to_token(i) for name, i in ids.items() if i is not None}
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **special)
        tokenizer.chat_template = self.metadata.get("tokenizer.chat_template")
        return tokenizer

    def _check_rule(self) -> None:
        """Refuse a rule of cutting text that would be replaced by GPT-2's; raises ModelError."""
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

        rule = self.metadata.get(f"{_TOKENIZER}.pre")
        if rule not in (*_GPT2, *_DIGITS, *GGUF_PRE_TOKENIZER_SPLITS):
            raise ModelError(
                f"{self.path}: the tokenizer cuts text by the rule {rule!r}, which is not known here; prompts would get "
                "other tokens than in training. Export the model again with: medicalgpt export gguf"
            )


def is_gguf(name: str) -> bool:
    """Whether what a user calls a model is the name of a GGUF file."""
    return name.lower().endswith(".gguf") and not Path(name).expanduser().is_dir()
