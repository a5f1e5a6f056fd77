"""A model as one GGUF file for llama.cpp: weights in a type of choice, tokenizer, chat template and every stop token."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
from torch import nn
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from medicalgpt.errors import ModelError
from medicalgpt.export.gguf_families import Floats, GgufFamily, context_length, describe, family_of, tensors
from medicalgpt.gguf.vocab import SERIALIZED, STOPS, Vocabulary, vocabulary
from medicalgpt.models.adapters import is_adapted
from medicalgpt.models.causal_lm import unwrap

if TYPE_CHECKING:  # gguf is an extra
    from gguf import GGMLQuantizationType, GGUFWriter

_Planned = tuple[str, tuple[int, ...], "GGMLQuantizationType", Callable[[], Floats]]
"""A tensor's name, shape, type and what gives its values."""

GgufType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]


@dataclass(frozen=True)
class Exported:
    """What was written: bytes, how many tensors in which type, and what a user should know."""

    path: Path
    size: int
    types: dict[str, int]
    notes: list[str] = field(default_factory=list)


def write_gguf(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    path: Path,
    kind: GgufType,
    *,
    stop_ids: Sequence[int],
    template: str | None,
    name: str,
    pre: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a model of a supported family without adapters; the file appears when it is complete.

    Norms, biases and other vectors stay in float32. A tensor whose rows do not divide into a quantized type's blocks is
    written in float16; embedding and head are never below 8 bits. Both as llama.cpp does.

    Args:
        stop_ids: every token that ends an answer, the end of an assistant turn first.
        template: the chat template's Jinja text, or None for a base model.
        pre: llama.cpp's name of the tokenizer's rule of cutting text, where it is not found by itself.

    Raises:
        ModelError: another family, a setting or tokenizer that llama.cpp does not know, a quantized model or one with an
            adapter, or a file that is there already or cannot be written.
    """
    check_target(path, kind, overwrite)
    _check_plain(model)
    inner = unwrap(model)
    config = inner.config
    family = family_of(config)
    words = vocabulary(tokenizer, config.vocab_size, pre)
    plan = [(tensor, shape, _type_of(tensor, shape, kind), values) for tensor, shape, values in tensors(inner, family)]
    with _appearing(path) as temp:
        import gguf

        writer = gguf.GGUFWriter(temp, family.architecture)
        try:
            _write_facts(writer, name, describe(config, family), kind)
            _write_words(writer, words, tokenizer, stop_ids, template)
            for tensor, shape, code, _ in plan:
                dtype = np.dtype(np.float16 if code.name == "F16" else np.float32)
                writer.add_tensor_info(tensor, shape, dtype, _bytes(shape, code), code)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for tensor, _, code, values in plan:
                writer.write_tensor_data(_encoded(tensor, values(), code))
        finally:
            writer.close()
    types = dict(Counter(code.name.lower() for _, _, code, _ in plan))
    return Exported(path, path.stat().st_size, types, [*words.notes, *_notes(plan, kind, config, family)])


def check_target(path: Path, kind: str, overwrite: bool) -> None:
    """Refuse a type or a place to write to before anything is loaded; raises ModelError."""
    if kind not in get_args(GgufType):
        raise ModelError(f"GGUF type {kind!r} is not known; allowed: {', '.join(get_args(GgufType))}")
    if path.suffix != ".gguf":
        raise ModelError(f"{path}: the file's name must end in .gguf, by which it is known for one")
    if path.is_dir() or (path.exists() and not overwrite):
        raise ModelError(f"{path} is there already; choose another name, or say --overwrite")


def _check_plain(model: nn.Module) -> None:
    """Refuse weights that are not the model's own numbers; raises ModelError."""
    if is_adapted(model):
        raise ModelError("this model carries an adapter; merge it first (medicalgpt merge), then export")
    if getattr(model, "is_quantized", False):
        raise ModelError("this model is quantized already; load it with quantization=none and export it from there")


def _type_of(tensor: str, shape: Sequence[int], kind: GgufType) -> "GGMLQuantizationType":
    """The type a tensor is written in, one of gguf's numbers."""
    import gguf

    types = gguf.GGMLQuantizationType
    if len(shape) == 1:
        return types.F32
    wanted = types[kind.upper()]
    if wanted < types.Q8_0 and wanted not in (types.F32, types.F16) and tensor.startswith(("token_embd", "output.")):
        wanted = types.Q8_0
    block, _ = gguf.GGML_QUANT_SIZES[wanted]
    return wanted if shape[-1] % block == 0 else types.F16


def _encoded(tensor: str, values: Floats, code: "GGMLQuantizationType") -> npt.NDArray[np.generic]:
    """The tensor's bytes; refuses what is no number, or is none any more in float16."""
    import gguf

    limit = np.finfo(np.float16 if code.name == "F16" else np.float32).max
    if not (np.abs(values) <= limit).all():
        raise ModelError(
            f"{tensor} holds numbers that {code.name.lower()} cannot (NaN, or too large); f16 ends at 65504"
        )
    encoded: npt.NDArray[np.generic] = gguf.quants.quantize(values, code)
    return encoded


def _bytes(shape: Sequence[int], code: "GGMLQuantizationType") -> int:
    import gguf

    block, size = gguf.GGML_QUANT_SIZES[code]
    return int(np.prod(shape)) // block * size


def _write_facts(writer: "GGUFWriter", name: str, facts: dict[str, int | float | str], kind: GgufType) -> None:
    import gguf

    prefix = "ALL" if kind == "f32" else "MOSTLY"
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType[f"{prefix}_{kind.upper()}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for key, value in facts.items():
        where = f"{writer.arch}.{key}"
        if isinstance(value, str):
            writer.add_string(where, value)
        elif isinstance(value, int):
            writer.add_uint32(where, value)
        else:
            writer.add_float32(where, value)


def _write_words(
    writer: "GGUFWriter",
    words: Vocabulary,
    tokenizer: PreTrainedTokenizerBase,
    stop_ids: Sequence[int],
    template: str | None,
) -> None:
    writer.add_tokenizer_model(words.kind)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    if words.pre:
        writer.add_tokenizer_pre(words.pre)
    if words.merges is not None:
        writer.add_token_merges(words.merges)
    if words.scores is not None:
        writer.add_token_scores(words.scores)
        writer.add_add_space_prefix(words.space_prefix)
    if words.charsmap:
        writer.add_precompiled_charsmap(words.charsmap)
    writer.add_string(SERIALIZED, words.serialized)
    for add, index in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_unk_token_id, words.unknown if words.unknown is not None else tokenizer.unk_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
        *zip((writer.add_eot_token_id, writer.add_eom_token_id), _other_stops(tokenizer, stop_ids)),
    ):
        if index is not None:
            add(index)
    starts, ends = _added(tokenizer)
    writer.add_add_bos_token(starts)
    writer.add_add_eos_token(ends)
    writer.add_array(STOPS, list(stop_ids))
    if template:
        writer.add_chat_template(template)


def _other_stops(tokenizer: PreTrainedTokenizerBase, stop_ids: Sequence[int]) -> list[int]:
    """For llama.cpp's further places: the end of a turn, then what is neither that nor eos."""
    return [*stop_ids[:1], *(i for i in stop_ids[1:] if i != tokenizer.eos_token_id)]


def _added(tokenizer: PreTrainedTokenizerBase) -> tuple[bool, bool]:
    """Whether the tokenizer puts bos before and eos behind plain text."""
    ids = tokenizer("a")["input_ids"]
    return bool(ids and ids[0] == tokenizer.bos_token_id), bool(ids and ids[-1] == tokenizer.eos_token_id)


def _notes(plan: "Sequence[_Planned]", kind: str, config: PreTrainedConfig, family: GgufFamily) -> list[str]:
    notes = []
    fallen = [tensor for tensor, shape, code, _ in plan if len(shape) > 1 and code.name == "F16" and kind != "f16"]
    if fallen:
        notes.append(
            f"{len(fallen)} tensors are f16, as their rows do not divide into blocks of {kind}: {', '.join(fallen[:3])}"
            + (" …" if len(fallen) > 3 else "")
        )
    length = context_length(config, family)
    if length < config.max_position_embeddings:
        notes.append(
            f"the context is {length} tokens, the model's sliding window: llama.cpp does not compute windows for this family"
        )
    return notes


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A file under a hidden name that becomes `path` when the block ends well, and vanishes when it does not."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temp
        with temp.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temp, path)
    except OSError as error:
        raise ModelError(f"{path} could not be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temp.unlink(missing_ok=True)
