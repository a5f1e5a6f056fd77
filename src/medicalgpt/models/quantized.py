"""Models whose weights were quantized once and saved: the two CPU kinds of our own, and how any kind is recognized.

Our kinds are registered with transformers, so that `from_pretrained` builds 8- and 4-bit layers from the entry
`quantization_config` of config.json: {"quant_method": "medicalgpt-cpu", "method": "cpu-int8", "group": 32, …}.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeGuard, get_args

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from medicalgpt.errors import ModelError
from medicalgpt.kernels.quantized_linear import GROUP, Int4Linear, Int8Embedding, Int8Linear, Int8TiedHead, factor_of
from medicalgpt.models.causal_lm import CausalLM, unwrap
from medicalgpt.models.locate import Located, read_config

CpuMethod = Literal["cpu-int8", "cpu-int4"]
_NAME = "medicalgpt-cpu"


@register_quantization_config(_NAME)
class CpuQuantization(QuantizationConfigMixin):
    """What config.json says about our layers. `tied` heads read the embedding table and have no weights of their own."""

    def __init__(self, method: str = "cpu-int8", group: int = GROUP, tied: bool = False, **_: object) -> None:
        if method not in get_args(CpuMethod):
            raise ValueError(f"quantization method {method!r} is unknown; allowed: {', '.join(get_args(CpuMethod))}")
        self.quant_method = _NAME  # type: ignore[assignment]  # declared as transformers' own methods only
        self.method, self.group, self.tied = method, group, tied


@register_quantizer(_NAME)
class CpuQuantizer(HfQuantizer):
    """Puts empty layers of ours into a model before its weights are read."""

    requires_calibration = False
    packed = False
    quantization_config: CpuQuantization

    def _process_model_before_weight_loading(self, model: PreTrainedModel, **_: object) -> None:
        with torch.device("meta"):
            swap_layers(unwrap(model), self.quantization_config)

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **_: object) -> PreTrainedModel:
        for module in model.modules():
            if isinstance(module, Int4Linear):
                module.pack()
                self.packed |= module.packed
        return model

    def is_serializable(self) -> bool:
        """Packed 4-bit weights fit this machine only; the folder they came from can be copied."""
        return not self.packed

    @property
    def is_trainable(self) -> bool:
        """Rounded weights have no gradient."""
        return False


def swap_layers(model: CausalLM, config: CpuQuantization) -> int:
    """Replace linear layers and the embedding table by quantized ones; returns how many.

    On the meta device the new layers are empty, elsewhere they hold the weights of the old ones. Embedding and head are
    in 8 bits with either method: they decide the answer's last digits.
    """
    empty = next(model.parameters()).is_meta
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    swapped = 0
    for name, layer in list(model.named_modules()):
        new: nn.Module | None = None
        is_head, is_table = id(layer) == id(head), id(layer) == id(table)
        if is_head and config.tied:
            continue
        if is_table and _plain_table(layer):
            new = _table(layer, empty)
        elif type(layer) is nn.Linear:
            small = config.method == "cpu-int4" and not is_head and Int4Linear.fits(layer, config.group)
            new = _linear(layer, config.group if small else None, empty)
        if new is not None:
            model.set_submodule(name, new)
            swapped += 1
    if config.tied:
        quantized = model.get_input_embeddings()
        assert isinstance(quantized, Int8Embedding)  # only a plain table is tied
        model.set_output_embeddings(Int8TiedHead(quantized))
    return swapped


def _plain_table(layer: object) -> TypeGuard[nn.Embedding]:
    """A table that looks rows up, at most times a factor."""
    return type(layer) is nn.Embedding or (isinstance(layer, nn.Embedding) and hasattr(layer, "scalar_embed_scale"))


def _table(layer: nn.Embedding, empty: bool) -> Int8Embedding:
    if empty:
        return Int8Embedding(layer.num_embeddings, layer.embedding_dim, layer.padding_idx, factor_of(layer))
    return Int8Embedding.of(layer)


def _linear(layer: nn.Linear, group: int | None, empty: bool) -> nn.Module:
    shape = (layer.in_features, layer.out_features, layer.bias is not None)
    if group is None:
        return Int8Linear(*shape) if empty else Int8Linear.of(layer)
    return Int4Linear(*shape, group) if empty else Int4Linear.of(layer, group)


def quantize_for_cpu(model: nn.Module, method: CpuMethod, group: int = GROUP) -> None:
    """Turn a full-precision causal LM on the CPU into an 8- or 4-bit one that `save_pretrained` writes as such.

    Raises:
        ModelError: it is quantized already, is adapted, or has no linear layers.
    """
    if kind := quantized_kind(model):
        raise ModelError(f"the model is quantized already ({kind}); quantize the full-precision one")
    if hasattr(model, "peft_config"):
        raise ModelError("the model carries an adapter; merge it first (medicalgpt merge)")
    inner = unwrap(model)
    table, head = inner.get_input_embeddings(), inner.get_output_embeddings()
    tied = isinstance(head, nn.Linear) and head.weight is table.weight and _plain_table(table) and head.bias is None
    config = CpuQuantization(method, group, tied)
    model.float()
    if swap_layers(inner, config) < 2:
        raise ModelError(f"{type(model).__name__} has no linear layers of torch's own; there is nothing to quantize")
    if tied:
        # The head has no weight any more that transformers could tie or ask for.
        inner.config.get_text_config().tie_word_embeddings = False
        inner.config.tie_word_embeddings = False
        inner.all_tied_weights_keys = {}
    inner.config.quantization_config = config
    inner.hf_quantizer = CpuQuantizer(config)


def quantized_kind(model: nn.Module) -> str | None:
    """int8, nf4, cpu-int8, cpu-int4, or another method's name for quantized weights; None for plain ones."""
    return _kind_of(getattr(unwrap(model).config, "quantization_config", None))


def located_kind(found: Located) -> str | None:
    """The same of a local model folder, before anything is loaded; None for a Hub model."""
    path = Path(found.folder) / "config.json"
    return _kind_of(read_config(path).get("quantization_config")) if path.is_file() else None


def _kind_of(config: object) -> str | None:
    if config is None:
        return None
    if isinstance(config, Mapping):
        entry = config
    elif isinstance(config, QuantizationConfigMixin):
        entry = json.loads(config.to_json_string(use_diff=False))
    else:
        return "unknown"
    if entry.get("quant_method") == _NAME:
        return str(entry.get("method"))
    if entry.get("load_in_8bit"):
        return "int8"
    if entry.get("load_in_4bit"):
        return str(entry.get("bnb_4bit_quant_type", "4 bits"))
    return str(entry.get("quant_method", "unknown"))


def for_cpu(kind: str | None) -> bool:
    """Whether it is one of our own kinds, whose products run on the CPU."""
    return kind in get_args(CpuMethod)


def refuse_quantized(found: Located, what: str) -> None:
    """Raises ModelError for a model folder with quantized weights where full-precision ones are needed."""
    if kind := located_kind(found):
        raise ModelError(
            f"{found.name} has quantized weights ({kind}) and cannot {what}: rounded weights take no small changes. "
            "Use the full-precision model it was made from; for QLoRA, train that one with quantization=nf4"
        )
