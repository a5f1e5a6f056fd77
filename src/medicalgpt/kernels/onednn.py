"""Weights laid out for products with few rows: copies that exist while answers are generated.

A decoding step multiplies every weight with a handful of rows, which is bound by reading the weights. MKL reads a plain
matrix at half the speed that memory has, and rearranges it in every product; oneDNN reads a matrix that was arranged once
at full speed. On two cores that halves the time of a product with up to 32 rows. Training changes weights between two
calls, in ways that leave no trace (peft writes through `.data`), so copies are made for each call and never kept.

A LoRA layer becomes one product with W + s·B·A, which is why the adapter costs nothing while generating. The model's own
weights are not touched.
"""

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import nn

from medicalgpt.kernels.free_memory import free_main_memory
from medicalgpt.kernels.known_tokens import KnownTokens
from medicalgpt.kernels.lora import LoraLinear, is_lora_linear
from medicalgpt.kernels.patched import Network

_ROWS = 32  # what the layout is made for; it serves 1 to 1,000 rows as well (measured)
_SHARE = 0.5  # of the free memory that copies may take


@contextmanager
def onednn_weights(model: Network, head: nn.Module | None = None, known: KnownTokens | None = None) -> Iterator[int]:
    """Run linear layers on copies of their weights in oneDNN's layout; gives how many do.

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
            vars(layer)["forward"] = _product(layer, known if layer is head else None)
        yield len(layers)
    finally:
        for layer, own in zip(layers, before):
            vars(layer).pop("forward", None)
            if own is not None:
                vars(layer)["forward"] = own


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
    """A dense linear layer in fp32 on the CPU."""
    if type(layer) is not nn.Linear:
        return False
    weight = layer.weight
    return weight.dtype == torch.float32 and weight.device.type == "cpu" and weight.layout == torch.strided


def _mergeable(layer: object) -> TypeGuard[LoraLinear]:
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


def _product(layer: LoraLinear | nn.Linear, known: KnownTokens | None = None) -> Callable[..., torch.Tensor]:
    """A forward for `layer` on its weight in oneDNN's layout."""
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
    plain: Callable[..., torch.Tensor] = types.MethodType(type(layer).forward, layer)

    def forward(x: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        if args or kwargs or x.dtype != torch.float32:
            return plain(x, *args, **kwargs)
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, kept, bias, "none", [], "")
        return out

    return forward


def _works(layer: nn.Linear) -> bool:
    """Whether this build of torch has the operators (they are not part of its public interface) and they are right."""
    if not torch.backends.mkldnn.is_available():
        return False
    x = torch.linspace(-1, 1, layer.in_features)[None]
    try:
        kept = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), _ROWS)
        found = torch.ops.mkldnn._linear_pointwise(x, kept, None, "none", [], "")
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    expected = F.linear(x, layer.weight.detach())
    return torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()), equal_nan=True)
