"""LoRA layers as one product each way instead of three.

peft computes x·Wᵀ + s·(x·Aᵀ)·Bᵀ, which reads and writes the layer's input and output two more times. With dropout 0 the
sum W + s·B·A can be formed first: it costs rank/tokens of the product it replaces, lives only while it is used, and
leaves one large product forward and one backward. In fp32 the result is the same up to rounding; in lower precision the
small update would be rounded away inside W, so there peft's own way stays.
"""

import types
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class _LoraLinear(torch.autograd.Function):
    """y = x·(W + s·B·A)ᵀ + b. Shapes: x [..., in], W [out, in], A [r, in], B [out, r]. Keeps only x and the weights."""

    @staticmethod
    def forward(ctx, x, weight, bias, a, b, scale):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight, a, b)
        ctx.scale = scale
        return F.linear(x, torch.addmm(weight, b, a, alpha=scale), bias)

    @staticmethod
    def backward(ctx, upstream):  # type: ignore[no-untyped-def]
        x, weight, a, b = ctx.saved_tensors
        rows, grads = x.reshape(-1, x.shape[-1]), upstream.reshape(-1, upstream.shape[-1])
        grad_x = grad_a = grad_b = None
        if ctx.needs_input_grad[0]:
            grad_x = (grads @ torch.addmm(weight, b, a, alpha=ctx.scale)).view_as(x)
        if ctx.needs_input_grad[3]:
            grad_a = torch.mm((grads @ b).t(), rows).mul_(ctx.scale)
        if ctx.needs_input_grad[4]:
            grad_b = torch.mm(grads.t(), rows @ a.t()).mul_(ctx.scale)
        return grad_x, None, None, grad_a, grad_b, None


def _fusable(layer: Any) -> bool:
    """A plain fp32 LoRA layer: no dropout, no DoRA, a dense frozen base."""
    base = layer.base_layer
    adapters = list(layer.lora_A)
    return (
        type(base) is nn.Linear
        and base.weight.dtype == torch.float32
        and not base.weight.requires_grad
        and (base.bias is None or not base.bias.requires_grad)
        and len(adapters) == 1
        and isinstance(layer.lora_dropout[adapters[0]], nn.Identity)
        and not getattr(layer, "lora_variant", {}).get(adapters[0])
        and layer.lora_A[adapters[0]].weight.dtype == torch.float32
        and layer.lora_B[adapters[0]].bias is None
    )


def _forward(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """peft's forward, by one product where the adapter is on and unmerged."""
    if (
        self.disable_adapters
        or self.merged
        or args
        or kwargs
        or x.dtype != torch.float32
        or torch.is_autocast_enabled(x.device.type)
    ):
        return self.plain_forward(x, *args, **kwargs)  # type: ignore[no-any-return]
    name = self.active_adapters[0]
    a, b = self.lora_A[name].weight, self.lora_B[name].weight
    return _LoraLinear.apply(x, self.base_layer.weight, self.base_layer.bias, a, b, self.scaling[name])  # type: ignore[no-any-return]


def fuse_lora(model: nn.Module) -> int:
    """Patch every LoRA layer that qualifies; returns how many. Saving, merging and switching off work as before."""
    from peft.tuners.lora.layer import Linear

    count = 0
    for module in model.modules():
        if type(module) is Linear and _fusable(module):
            patched: Any = module
            patched.plain_forward = module.forward
            patched.forward = types.MethodType(_forward, module)
            count += 1
    return count
