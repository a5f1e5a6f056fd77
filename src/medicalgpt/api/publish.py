"""Make a model ready for others: merge, quantize, export, and know beforehand what training takes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from medicalgpt.config.optimizers import Optimizer
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ModelError
from medicalgpt.export import gguf
from medicalgpt.export import quantize as quantizing
from medicalgpt.export.gguf_writer import Exported, GgufType
from medicalgpt.export.merge import Dtype, Merged, merge_adapters
from medicalgpt.export.quantize import Method as QuantizationMethod
from medicalgpt.export.quantize import Quantized
from medicalgpt.memory import footprint, shape
from medicalgpt.memory.estimate import Device, DType, setup_for
from medicalgpt.memory.footprint import MemoryEstimate
from medicalgpt.memory.setup import Method

PathLike = str | os.PathLike[str]


def merge(
    model: PathLike,
    output: PathLike,
    *,
    adapters: PathLike | Sequence[PathLike] = (),
    dtype: Dtype = "auto",
    template: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_drift: bool = False,
) -> Merged:
    """Write a model with its adapters merged into a new folder, with certificate, lineage and model card.

    Args:
        model: a run, model or adapter folder, an embedded model's name, or a Hub id.
        adapters: further adapters on top, in the order of training.
        allow_drift: publish also what differs from the model beyond the tolerance; the certificate says so.

    Raises:
        ModelError: the folder is there already, an adapter of another base, or a result beyond the tolerance.
    """
    chain = [adapters] if isinstance(adapters, str | os.PathLike) else adapters
    return merge_adapters(
        os.fspath(model),
        [os.fspath(adapter) for adapter in chain],
        Path(output),
        dtype=dtype,
        template=template,
        allow_drift=allow_drift,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )


def quantize(
    model: PathLike,
    output: PathLike,
    method: QuantizationMethod,
    *,
    text: PathLike | None = None,
    template: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    allow_drift: bool = False,
) -> Quantized:
    """Write a model with its weights in 8 or 4 bits into a new folder; perplexity, size and tokens/s before and after.

    Args:
        method: "cpu-int8" or "cpu-int4" for machines without a GPU, "int8" or "nf4" (bitsandbytes) for those with one.
        text: a UTF-8 file to measure perplexity on; None: a held-out sample of ours.

    Raises:
        ModelError: the folder is there already, an adapter that is not merged, or a result beyond the tolerance.
    """
    return quantizing.quantize(
        os.fspath(model),
        Path(output),
        method,
        text=None if text is None else Path(text),
        template=template,
        allow_drift=allow_drift,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )


def export_gguf(
    model: PathLike,
    output: PathLike,
    type: GgufType = "q8_0",
    *,
    adapter: PathLike | None = None,
    template: str | None = None,
    pre: str | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
    overwrite: bool = False,
    allow_drift: bool = False,
) -> Exported:
    """Write one file for llama.cpp: weights, tokenizer, chat template and every stop token; an adapter is merged first.

    Args:
        type: number type of the weights, "f32" to "q4_0".
        pre: llama.cpp's name of the tokenizer's rule, where it is not found by itself.

    Raises:
        ModelError: the file is there already, a family that llama.cpp does not know here, or a result beyond the tolerance.
    """
    config = ModelConfig(
        base=os.fspath(model),
        adapter=None if adapter is None else os.fspath(adapter),
        revision=revision,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
    )
    return gguf.export_gguf(
        config, Path(output), type, template=template, pre=pre, overwrite=overwrite, allow_drift=allow_drift
    )


def estimate(
    model: PathLike | None = None,
    *,
    params: str | None = None,
    method: Method = "lora",
    max_tokens: int = 1024,
    processes: int = 1,
    rank: int = 8,
    checkpointing: bool = False,
    optimizer: Optimizer = "adamw",
    dtype: DType = "auto",
    device: Device | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> MemoryEstimate:
    """Memory of training in bytes by part (`.parts`, `.total`), from the model's configuration alone.

    Args:
        params: instead of a model, a LLaMA of "7B", "13B", "30B" or "70B".
        method: "full", "lora", "qlora8" or "qlora4".
        max_tokens: tokens of a packed row; preferences take twice that.
        optimizer: as `train.optimizer`.
        device: "cpu" or "cuda"; None: this machine's.

    Raises:
        ModelError: neither or both of model and params, or a model without a configuration that can be read.
    """
    if (model is None) == (params is None):
        raise ModelError("give either a model or params (7B, 13B, 30B, 70B)")
    if model is None:
        found = shape.shape_of_size(params or "")
    else:
        found = shape.shape_of_model(os.fspath(model), revision, trust_remote_code)
    setup = setup_for(
        method,
        dtype,
        device,
        row_tokens=max_tokens,
        processes=processes,
        rank=rank,
        checkpointing=checkpointing,
        optimizer=optimizer,
    )
    return footprint.estimate(found, setup)
