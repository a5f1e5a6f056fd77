"""Modules that are trained whole beside LoRA adapters: a copy of each learns, and the base keeps its own."""

from collections.abc import Sequence
from typing import TypedDict

from torch import nn

from medicalgpt.config.sections import LoraConfig
from medicalgpt.errors import ModelError
from medicalgpt.models.causal_lm import CausalLM, output_head, unwrap


class WholeModules(TypedDict, total=False):
    """Settings of peft's `LoraConfig`."""

    modules_to_save: list[str]
    ensure_weight_tying: bool


def whole_modules(model: CausalLM, names: Sequence[str]) -> WholeModules:
    """peft settings by which an adapter trains and saves whole modules. Where the head is the embedding both stay one."""
    if not names:
        return {}
    table, head = model.get_input_embeddings(), output_head(model)
    found = {place: module for name in names for place, module in named(model, name).items()}
    tied = head is not None and head.weight is table.weight
    tied = tied and any(id(module) in (id(table), id(head)) for module in found.values())
    # By full name: peft would take "norm" for every name that ends so, input_layernorm among them.
    return {"modules_to_save": sorted(found), "ensure_weight_tying": tied}


def named(model: nn.Module | CausalLM, name: str) -> dict[str, nn.Module]:
    """Modules whose name is `name`, or ends with it."""
    return {place: module for place, module in model.named_modules() if f".{place}".endswith(f".{name}")}


def require_modules(model: nn.Module, lora: LoraConfig) -> None:
    """Refuse names of `lora.modules_to_save` that mean nothing, or what cannot learn.

    Raises:
        ModelError: saying which, and what may be named.
    """
    inner = unwrap(model)
    for name in lora.modules_to_save:
        found = named(inner, name)
        if not found:
            kinds = sorted({place.rsplit(".", 1)[-1] for place, m in inner.named_modules() if place and _own(m)})
            raise ModelError(f"lora.modules_to_save: no module is called {name}; this model has: {', '.join(kinds)}")
        for place, module in found.items():
            _require_able(place, module)


def _own(module: nn.Module) -> bool:
    """Whether a module has weights itself, not only in its parts."""
    return next(module.parameters(recurse=False), None) is not None


def _require_able(place: str, module: nn.Module) -> None:
    weights = list(module.parameters())
    if not weights:
        raise ModelError(f"lora.modules_to_save: {place} has no weights to train; name another module")
    if not all(weight.is_floating_point() for weight in weights):
        raise ModelError(
            f"lora.modules_to_save: {place} is quantized and cannot learn; set quantization=none, or name embeddings, head or norms"
        )
    if isinstance(module, nn.ModuleList | nn.ModuleDict):
        raise ModelError(f"lora.modules_to_save: {place} is a list of modules; name the modules in it")
