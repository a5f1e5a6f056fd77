"""Rotary embedding with a hand-written gradient, bound to the attention layers of one model.

transformers' attention calls a function of its own Python module, `apply_rotary_pos_emb`. Swapping it there would change
every model of that family in the process, so the layers get a copy of their `forward` that finds ours under that name.
"""

import inspect
import types
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from medicalgpt.kernels.autograd import AutogradContext
from medicalgpt.kernels.patched import Network, is_replaced, replace_forward

_NAME = "apply_rotary_pos_emb"
Types = tuple[torch.dtype, torch.dtype]  # of queries and keys, and of the angles
# Under autocast queries are in the short type and angles in fp32.
_TRIED: tuple[Types, ...] = (
    (torch.float32, torch.float32),
    (torch.bfloat16, torch.float32),
    (torch.float16, torch.float32),
    (torch.bfloat16, torch.bfloat16),
    (torch.float16, torch.float16),
)


class _Rotary(torch.autograd.Function):
    """x·cos + rotate_half(x)·sin (arXiv 2104.09864). Shapes: x [B, H, T, D]; cos, sin [B, 1, T, D]."""

    apply: ClassVar[Callable[..., torch.Tensor]]

    @staticmethod
    def forward(ctx: AutogradContext, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos, sin)
        half = x.shape[-1] // 2
        out = x * cos
        out[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
        out[..., half:].addcmul_(x[..., :half], sin[..., half:])
        return out

    @staticmethod
    def backward(ctx: AutogradContext, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        half = upstream.shape[-1] // 2
        grad = upstream * cos
        grad[..., half:].addcmul_(upstream[..., :half], sin[..., :half], value=-1)
        grad[..., :half].addcmul_(upstream[..., half:], sin[..., half:])
        return grad, None, None


def rotary(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, unsqueeze_dim: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """transformers' apply_rotary_pos_emb for the usual half-and-half layout."""
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    return _turn(q, cos, sin), _turn(k, cos, sin)


def _turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """The first numbers of each head, as many as there are angles; the rest stays as it is (GLM, Phi, GPT-NeoX)."""
    width = cos.shape[-1]
    if width == x.shape[-1]:
        return _Rotary.apply(x, cos, sin)
    return torch.cat([_Rotary.apply(x[..., :width], cos, sin), x[..., width:]], -1)


def bind_rotary(model: Network) -> int:
    """Give the attention layers of this model our function, where theirs is the usual one; returns how many have it.

    It runs in the number types in which it was found to be the same, in all others the layer's own function does.
    """
    known: dict[int, Callable[..., Any] | None] = {}
    bound = 0
    for layer in model.modules():
        own: Any = type(layer).forward
        caller = _caller(own)
        if caller is None:
            continue
        if is_replaced(layer):
            bound += 1
            continue
        original = caller.__globals__.get(_NAME)
        if original is None or "forward" in vars(layer):  # replaced by somebody on this very module: theirs
            continue
        if id(original) not in known:
            known[id(original)] = _checked(original, next(model.parameters()).device)
        ours = known[id(original)]
        if ours is not None:
            replace_forward(layer, _with_global(own, ours))
            bound += 1
    return bound


def _caller(function: object) -> types.FunctionType | None:
    """The function that calls apply_rotary_pos_emb: this one, or the one inside its decorators."""
    if not isinstance(function, types.FunctionType):
        return None
    if _NAME in function.__code__.co_names:
        return function
    return _caller(getattr(function, "__wrapped__", None))


def _with_global(function: types.FunctionType, value: Callable[..., Any]) -> types.FunctionType:
    """A copy of a function, with copies of its decorators, that finds `value` under the name apply_rotary_pos_emb."""
    scope, cells = function.__globals__, function.__closure__
    if _NAME in function.__code__.co_names:
        scope = {**scope, _NAME: value}
    else:
        inner = function.__wrapped__  # type: ignore[attr-defined]  # there, as `_caller` came through it
        new = types.CellType(_with_global(inner, value))
        cells = tuple(new if cell.cell_contents is inner else cell for cell in cells or ())
    copy = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _checked(original: Callable[..., Any], device: torch.device) -> Callable[..., Any] | None:
    """Ours in the types in which it gives what `original` gives, else `original`; None where it never does in fp32."""
    required = [p for p in inspect.signature(original).parameters.values() if p.default is inspect.Parameter.empty]
    if len(required) < len(("q", "k", "cos", "sin")):
        return None  # called with queries alone, too (Qwen 4)
    same = {
        tried
        for tried in _TRIED
        if _same_rotary(original, 8, tried, device) and _same_rotary(original, 4, tried, device, may_refuse=True)
    }
    if (torch.float32, torch.float32) not in same:
        return None

    def apply_rotary_pos_emb(
        q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, unsqueeze_dim: int = 1
    ) -> Any:
        if (q.dtype, cos.dtype) in same and k.dtype == q.dtype and sin.dtype == cos.dtype:
            return rotary(q, k, cos, sin, unsqueeze_dim)
        return original(q, k, cos, sin, unsqueeze_dim)

    return apply_rotary_pos_emb


def _same_rotary(
    original: Callable[..., Any], width: int, tried: Types, device: torch.device, may_refuse: bool = False
) -> bool:
    """Whether ours gives what a family's own function gives, for angles over `width` of 8 numbers a head.

    Values and gradients are compared; in 16 bits up to two units in the last place.

    Args:
        may_refuse: the function may also fail; most take angles for whole heads only.
    """
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, heads, 3, 8, generator=generator).to(device, tried[0]) for heads in (2, 1))
    angle = torch.randn(1, 3, width // 2, generator=generator).repeat(1, 1, 2).to(device)
    angles = (angle.cos().to(tried[1]), angle.sin().to(tried[1]))
    try:
        theirs = _values_and_gradients(original, q, k, angles)
    except (TypeError, RuntimeError, ValueError):
        return may_refuse
    ours = _values_and_gradients(rotary, q, k, angles)
    return all(a.shape == b.shape and a.dtype == b.dtype and _close(a, b) for a, b in zip(theirs, ours))


def _values_and_gradients(
    function: Callable[..., Any], q: torch.Tensor, k: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor]
) -> list[torch.Tensor]:
    with torch.inference_mode(False), torch.enable_grad():
        inputs = [x.detach().clone().requires_grad_() for x in (q, k)]
        out = function(*inputs, *angles)
        weights = [torch.linspace(-1, 1, x.numel(), device=x.device, dtype=x.dtype).view_as(x) for x in out]
        return [x.detach() for x in out] + list(torch.autograd.grad(list(out), inputs, weights))


def _close(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.dtype == torch.float32:
        return torch.allclose(a, b, atol=1e-6)
    unit = torch.finfo(a.dtype).eps
    return torch.allclose(a.float(), b.float(), atol=2 * unit, rtol=2 * unit)
