"""LoRA layers as one product each way, and layers that read the same input as one layer.

peft computes x·Wᵀ + s·(x·Aᵀ)·Bᵀ, which reads and writes the layer's input and output two more times. With dropout 0 the
sum W + s·B·A can be formed first: it costs rank/tokens of the product it replaces, lives only while it is used, and
leaves one large product forward and one backward. Query, key and value (gate and up) read the same input, so they are
stacked: one large product instead of three, and the thin products of their adapters read the input once. In fp32 the
result is the same up to rounding; in lower precision the small update would be rounded away inside W, so there peft's
own way stays.
"""

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Protocol, TypeGuard, final

import torch
import torch.nn.functional as F
from torch import nn

from medicalgpt.kernels.autograd import AutogradContext

# Children of one module that are called with the same input. A group checks at every call that they really are.
_SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


class _StackedContext(AutogradContext, Protocol):
    scales: Sequence[float]


class LoraLinear(Protocol):
    """peft's `tuners.lora.layer.Linear`, and what is noted on it when its forward is replaced."""

    base_layer: nn.Linear
    in_features: int
    lora_A: Mapping[str, nn.Linear]
    lora_B: Mapping[str, nn.Linear]
    lora_dropout: Mapping[str, nn.Module]
    lora_variant: Mapping[str, object]
    scaling: Mapping[str, float]
    active_adapters: list[str]
    disable_adapters: bool
    merged: bool
    forward: Callable[..., torch.Tensor]
    plain_forward: Callable[..., torch.Tensor]
    lora_group: "_Group"
    lora_index: int

    def parameters(self) -> Iterator[nn.Parameter]:
        """See `nn.Module`."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """See `nn.Module`."""
        ...

    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        """s·B·A [out, in] of an adapter."""
        ...


class _Stacked(torch.autograd.Function):
    """yᵢ = x·(Wᵢ + sᵢ·Bᵢ·Aᵢ)ᵀ + bᵢ for several layers. Keeps only x and the weights.

    Shapes: x [..., in], Wᵢ [outᵢ, in], Aᵢ [rᵢ, in], Bᵢ [outᵢ, rᵢ]; `tensors` is W…, A…, B… in this order.
    """

    apply: ClassVar[Callable[..., torch.Tensor | tuple[torch.Tensor, ...]]]

    @staticmethod
    def forward(
        ctx: _StackedContext,
        x: torch.Tensor,
        bias: torch.Tensor | None,
        scales: Sequence[float],
        *tensors: torch.Tensor,
    ) -> torch.Tensor | tuple[torch.Tensor, ...]:
        ctx.save_for_backward(x, *tensors)
        ctx.scales = scales
        weights = tensors[: len(scales)]
        y = F.linear(x, _merged(scales, tensors), bias)
        return y if len(scales) == 1 else y.split([len(w) for w in weights], dim=-1)

    @staticmethod
    def backward(ctx: _StackedContext, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, *tensors = ctx.saved_tensors
        count = len(ctx.scales)
        a, b = tensors[count : 2 * count], tensors[2 * count :]
        rows = x.reshape(-1, x.shape[-1])
        grads = (upstream[0] if count == 1 else torch.cat(upstream, -1)).reshape(len(rows), -1)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grads @ _merged(ctx.scales, tensors)).view_as(x)
        # Thin products over the stacked adapters: off-diagonal blocks are computed and dropped, which costs less than
        # reading the input and the gradient once per layer.
        thin_b = b[0] if count == 1 else torch.block_diag(*b)
        down = (grads @ thin_b).t() @ rows  # [Σr, in]
        up = grads.t() @ (rows @ (a[0] if count == 1 else torch.cat(a)).t())  # [Σout, Σr]
        grad_a, grad_b, row, column = [], [], 0, 0
        for scale, ai, bi in zip(ctx.scales, a, b):
            grad_a.append(down[column : column + len(ai)].mul(scale))
            grad_b.append(up[row : row + len(bi), column : column + len(ai)].mul(scale))
            row, column = row + len(bi), column + len(ai)
        return (grad_x, None, None, *([None] * count), *grad_a, *grad_b)


def _merged(scales: Sequence[float], tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """The stacked weights W + s·B·A [Σout, in]."""
    count, row = len(scales), 0
    out = tensors[0].new_empty(sum(len(w) for w in tensors[:count]), tensors[0].shape[1])
    for scale, w, a, b in zip(scales, tensors[:count], tensors[count : 2 * count], tensors[2 * count :]):
        torch.addmm(w, b, a, alpha=scale, out=out[row : row + len(w)])
        row += len(w)
    return out


def is_lora_linear(layer: object) -> TypeGuard[LoraLinear]:
    """Whether it is peft's LoRA layer itself, not a kind derived from it."""
    from peft.tuners.lora.layer import Linear

    return type(layer) is Linear


def _fusable(layer: object) -> TypeGuard[LoraLinear]:
    """A plain fp32 LoRA layer: no dropout, no DoRA, a dense frozen base."""
    if not is_lora_linear(layer):
        return False
    base = layer.base_layer
    return (
        type(base) is nn.Linear
        and base.weight.dtype == torch.float32
        and not base.weight.requires_grad
        and (base.bias is None or not base.bias.requires_grad)
        and len(layer.lora_A) > 0
        and all(_plain(layer, name) for name in layer.lora_A)
    )


def _plain(layer: LoraLinear, adapter: str) -> bool:
    """Whether this adapter of a layer is B·A in fp32 and nothing else."""
    return (
        isinstance(layer.lora_dropout[adapter], nn.Identity)
        and not getattr(layer, "lora_variant", {}).get(adapter)
        and layer.lora_A[adapter].weight.dtype == torch.float32
        and layer.lora_B[adapter].bias is None
    )


@final
class _Group:
    """Layers that are computed together when the first of them is called; the others then take what waits for them."""

    def __init__(self, layers: Sequence[LoraLinear]) -> None:
        self.layers = list(layers)
        self.input: torch.Tensor | None = None
        self.waiting: dict[int, torch.Tensor] = {}

    def __call__(self, index: int, x: torch.Tensor) -> torch.Tensor:
        if self.input is not x or index not in self.waiting:
            self.input, self.waiting = x, dict(enumerate(self._compute(x)))
        y = self.waiting.pop(index)
        if not self.waiting:
            self.input = None
        return y

    def _compute(self, x: torch.Tensor) -> Sequence[torch.Tensor]:
        names = [layer.active_adapters[0] for layer in self.layers]
        bases = [layer.base_layer for layer in self.layers]
        scales = [layer.scaling[name] for layer, name in zip(self.layers, names)]
        a = [layer.lora_A[name].weight for layer, name in zip(self.layers, names)]
        b = [layer.lora_B[name].weight for layer, name in zip(self.layers, names)]
        bias = None
        if any(base.bias is not None for base in bases):
            zeros = x.new_zeros
            bias = torch.cat([zeros(base.out_features) if base.bias is None else base.bias for base in bases])
        out = _Stacked.apply(x, bias, scales, *(base.weight for base in bases), *a, *b)
        return (out,) if isinstance(out, torch.Tensor) else out

    def on(self, x: torch.Tensor) -> bool:
        """Whether every layer has the same one adapter on and unmerged, and the input is plain fp32."""
        names = self.layers[0].active_adapters
        ready = len(names) == 1 and all(self._has(layer, names) for layer in self.layers)
        return ready and x.dtype == torch.float32 and not torch.is_autocast_enabled(x.device.type)

    @staticmethod
    def _has(layer: LoraLinear, names: list[str]) -> bool:
        on = not layer.disable_adapters and not layer.merged
        return on and layer.active_adapters == names and names[0] in layer.lora_A


def _forward(self: LoraLinear, x: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
    """peft's forward, by the group's product where it may be."""
    if args or kwargs or not self.lora_group.on(x):
        return self.plain_forward(x, *args, **kwargs)
    return self.lora_group(self.lora_index, x)


def fuse_lora(model: nn.Module) -> int:
    """Patch every LoRA layer that qualifies; returns how many. Saving, merging and switching off work as before."""
    done: set[int] = set()
    for module in list(model.modules()):
        for names in _SIBLINGS:
            children = [child for name in names if _fusable(child := getattr(module, name, None))]
            if len(children) == len(names) and len({child.in_features for child in children}) == 1:
                _patch(children, done)
    for module in list(model.modules()):
        if id(module) not in done and _fusable(module):
            _patch([module], done)
    return len(done)


def _patch(layers: Sequence[LoraLinear], done: set[int]) -> None:
    group = _Group(layers)
    for index, layer in enumerate(layers):
        layer.plain_forward = layer.forward
        # Not as a submodule or parameter: the group must not appear in state dicts.
        layer.lora_group, layer.lora_index = group, index
        layer.forward = types.MethodType(_forward, layer)
        done.add(id(layer))
