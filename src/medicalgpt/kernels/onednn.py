"""Weights laid out for products with few rows: copies that exist while answers are generated.

A decoding step multiplies every weight with a handful of rows, which is bound by reading the weights. MKL reads a plain
matrix at half the speed that memory has, and rearranges it in every product; oneDNN reads a matrix that was arranged once
at full speed. On two cores that halves the time of a product with up to 32 rows. Training changes weights between two
calls, in ways that leave no trace (peft writes through `.data`), so copies are made for each call and never kept.

A LoRA layer becomes one product with W + s·B·A, which is why the adapter costs nothing while generating. The model's own
weights are not touched; those that lie in a mapped file are not held in memory beside their copy.
"""

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import nn

from medicalgpt.errors import ModelError
from medicalgpt.kernels.free_memory import free_main_memory
from medicalgpt.kernels.known_tokens import KnownTokens
from medicalgpt.kernels.lora import LoraLinear, is_lora_linear
from medicalgpt.kernels.malloc import release_memory
from medicalgpt.kernels.mapped import release_pages
from medicalgpt.kernels.patched import Network
from medicalgpt.kernels.weight_readers import shared_weights

_ROWS = 32  # what the layout is made for; it serves 1 to 1,000 rows as well (measured)
_AT_ONCE = 64 << 20  # bytes of weights that are let go before the system has them back
_SHARE = 0.5  # of the free memory that copies may take


@contextmanager
def onednn_weights(model: Network, head: nn.Module | None = None, known: KnownTokens | None = None) -> Iterator[int]:
    """Run linear layers on copies of their weights in oneDNN's layout; gives how many do. The model's own stay as they are.

    With `known` the copy of the layer `head` has the rows of these tokens only, and so have its logits.

    Layers on a GPU, in other number types, quantized or with hooks in place of their forward stay as they are, and all
    of them where memory is short.
    """
    layers = _layers(model)
    needed = sum(_base(layer).weight.nbytes for layer in layers)
    if not layers or needed > _SHARE * free_main_memory() or not _works(_base(layers[0])):
        yield 0
        return
    before = [vars(layer).get("forward") for layer in layers]
    try:
        for layer in layers:
            vars(layer)["forward"] = _product(layer, *_laid_out(layer, known if layer is head else None))
        yield len(layers)
    finally:
        for layer, own in zip(layers, before):
            vars(layer).pop("forward", None)
            if own is not None:
                vars(layer)["forward"] = own


def keep_onednn_weights(model: Network, head: nn.Module | None = None) -> int:
    """The same for good, each weight in the place of the plain one, which is let go; gives how many layers run so.

    For a model whose weights never change again: it cannot be trained or saved from then on, but answers as before. Weights
    that something else reads as well, as embeddings that are also the head, are copied; a LoRA layer holds W + s·B·A. The head
    has all of its rows.
    """
    layers = _layers(model)
    if not layers or not _works(_base(layers[0])):
        return 0
    shared = _read_elsewhere(model, head)
    copied = [layer for layer in layers if id(_base(layer).weight) in shared]
    if sum(_base(layer).weight.nbytes for layer in copied) > _SHARE * free_main_memory():
        layers = [layer for layer in layers if layer not in copied]
    gone = 0
    for layer in layers:
        base = _base(layer)
        kept = _laid_out(layer)
        vars(layer)["forward"] = _product(layer, *kept)
        if id(base.weight) not in shared:
            gone += base.weight.nbytes
            base.weight = nn.Parameter(kept[0], requires_grad=False)
        if gone > _AT_ONCE:  # glibc would keep what was let go, which is too short for the next by its alignment
            gone = 0
            release_memory()
    release_memory()
    return len(layers)


def _read_elsewhere(model: Network, head: nn.Module | None) -> set[int]:
    """The ids of weights that something else reads, adapters that are more than a product (DoRA takes norms) among it; and of the
    head's, by which the scores of a prompt are computed."""
    adapted = [module for module in model.modules() if hasattr(module, "base_layer") and not _is_product(module)]
    found = {id(own) for module in adapted for own in module.parameters()}
    return found | shared_weights(model) | {id(getattr(head, "weight", None))}


def _layers(model: Network) -> list[LoraLinear | nn.Linear]:
    """LoRA layers that are one product, and plain linear layers that are no part of those."""
    lora = [module for module in model.modules() if _mergeable(module)]
    # peft takes a merged adapter that is off out of the weights at its next forward, which a copy would not see.
    late: list[nn.Module] = [
        m for m in model.modules() if getattr(m, "merged", False) and getattr(m, "disable_adapters", False)
    ]
    whole: list[Network] = [*lora, *late]
    inside = {id(part) for layer in whole for part in layer.modules()}
    plain = [m for m in model.modules() if id(m) not in inside and _plain(m) and "forward" not in vars(m)]
    return [*lora, *plain]


def _plain(layer: object) -> TypeGuard[nn.Linear]:
    """A dense linear layer on the CPU in fp32, or in bf16 where oneDNN has that."""
    if type(layer) is not nn.Linear:
        return False
    weight = layer.weight
    if weight.device.type != "cpu" or weight.layout != torch.strided:
        return False
    return weight.dtype == torch.float32 or (weight.dtype == torch.bfloat16 and _multiplies_bfloat16())


def _multiplies_bfloat16() -> bool:
    try:
        return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # no part of torch's public interface
        return False


def _mergeable(layer: object) -> TypeGuard[LoraLinear]:
    """One whose W + s·B·A has room for what training has moved: rounded to bfloat16 it would lose most of that."""
    return _is_product(layer) and layer.base_layer.weight.dtype == torch.float32


def _is_product(layer: object) -> TypeGuard[LoraLinear]:
    """A LoRA layer that is W + s·B·A and nothing else: adapters on, not merged, no DoRA; dropout is off here."""
    if not hasattr(layer, "lora_A") or not hasattr(layer, "base_layer"):
        return False
    if not is_lora_linear(layer) or layer.merged or layer.disable_adapters or not _plain(layer.base_layer):
        return False
    if "forward" in vars(layer) and not hasattr(layer, "lora_group"):  # kernels/lora.py computes the same
        return False
    return all(
        not layer.lora_variant.get(name) and layer.lora_B[name].bias is None
        for name in layer.active_adapters
        if name in layer.lora_A
    )


def _base(layer: LoraLinear | nn.Linear) -> nn.Linear:
    return layer if isinstance(layer, nn.Linear) else layer.base_layer


def _laid_out(
    layer: LoraLinear | nn.Linear, known: KnownTokens | None = None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A layer's weight, with its adapters, in oneDNN's layout, and its bias."""
    base = _base(layer)
    weight = base.weight.detach()
    if not isinstance(layer, nn.Linear):
        for name in layer.active_adapters:
            if name in layer.lora_A:
                weight = weight + layer.get_delta_weight(name).detach()
    bias = None if base.bias is None else base.bias.detach()
    if known is not None:
        weight, bias = known.cut(weight), None if bias is None else known.cut(bias)
    kept = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
    release_pages(base.weight)  # the copy is what is read from now on
    return kept, bias


def _product(
    layer: LoraLinear | nn.Linear, kept: torch.Tensor, bias: torch.Tensor | None
) -> Callable[..., torch.Tensor]:
    """A forward for `layer` on what is `_laid_out`."""
    plain: Callable[..., torch.Tensor] = types.MethodType(type(layer).forward, layer)

    def forward(x: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        if args or kwargs or x.dtype != kept.dtype:
            return plain(x, *args, **kwargs)
        if x.requires_grad and torch.is_grad_enabled():  # the operator knows no gradient, and would pass none on
            raise ModelError("a model opened with inference_only=True only answers; open it without, to train it")
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, kept, bias, "none", [], "")
        return out

    return forward


def _works(layer: nn.Linear) -> bool:
    """Whether this build of torch has the operators (they are not part of its public interface) and they are right."""
    if not torch.backends.mkldnn.is_available():
        return False
    dtype = layer.weight.dtype
    x = torch.linspace(-1, 1, layer.in_features).to(dtype)[None]
    try:
        kept = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), _ROWS)
        found = torch.ops.mkldnn._linear_pointwise(x, kept, None, "none", [], "")
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    expected = F.linear(x, layer.weight.detach())
    off = max(1e-4, 2 * torch.finfo(dtype).eps)
    return torch.allclose(found, expected, rtol=off, atol=off * float(expected.abs().max()), equal_nan=True)
