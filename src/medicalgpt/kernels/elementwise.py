"""Rotary embedding, RMSNorm and SwiGLU with hand-written gradients: the same numbers, fewer passes over less memory.

Autograd of transformers' readable versions stores and rereads every intermediate. On a CPU that is a tenth of a training
step. Each replacement is compared with the original on random input first and left out where they differ, and runs only
in the number types in which it was compared. It belongs to the modules of one model and can be taken off again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import ClassVar, Protocol, TypeGuard

import torch
import torch.nn.functional as F
from torch import nn

from medicalgpt.kernels.autograd import AutogradContext
from medicalgpt.kernels.patched import Network, is_replaced, replace_forward, restore_forward
from medicalgpt.kernels.rotary import bind_rotary


class _RmsNorm(torch.autograd.Function):
    """w·x / sqrt(mean(x²) + eps) in fp32. Keeps x and one number a row."""

    apply: ClassVar[Callable[..., torch.Tensor]]

    @staticmethod
    def forward(ctx: AutogradContext, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        scale: torch.Tensor = (
            torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        )
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight)

    @staticmethod
    def backward(ctx: AutogradContext, upstream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        x, weight, scale = ctx.saved_tensors
        unit = x * scale
        grad_w = None
        if ctx.needs_input_grad[1]:
            grad_w = torch.einsum("nd,nd->d", upstream.reshape(-1, x.shape[-1]), unit.reshape(-1, x.shape[-1]))
        grad = upstream * weight
        share = torch.linalg.vecdot(grad, unit, dim=-1).div_(x.shape[-1]).unsqueeze_(-1)
        return grad.addcmul_(unit, share, value=-1).mul_(scale), grad_w, None


class RmsNorm(Protocol):
    """A norm of transformers, whose forward may be replaced."""

    weight: torch.Tensor
    plain_forward: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., D] → [..., D]."""
        ...


class FeedForward(Protocol):
    """A block down(act(gate(x))·up(x)) of transformers."""

    gate_proj: nn.Linear
    up_proj: nn.Linear
    down_proj: Callable[[torch.Tensor], torch.Tensor]
    act_fn: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., D] → [..., D]."""
        ...


def _norm_forward(self: RmsNorm, x: torch.Tensor) -> torch.Tensor:
    if x.dtype != torch.float32 or torch.is_autocast_enabled(x.device.type):
        return self.plain_forward(x)
    return _RmsNorm.apply(x, self.weight, _eps(self))


def _eps(norm: object) -> float | None:
    """What is added to the mean square, under either of the names that families use."""
    eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
    return None if eps is None else float(eps)


class _SwiGlu(torch.autograd.Function):
    """silu(gate)·up (arXiv 2002.05202). Keeps gate and up; silu(gate) is computed again instead of kept."""

    apply: ClassVar[Callable[..., torch.Tensor]]

    @staticmethod
    def forward(ctx: AutogradContext, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: AutogradContext, upstream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate, up = ctx.saved_tensors
        grad_up = F.silu(gate).mul_(upstream)
        return torch.ops.aten.silu_backward(upstream * up, gate), grad_up


def _mlp_forward(self: FeedForward, x: torch.Tensor) -> torch.Tensor:
    gate, up = self.gate_proj(x), self.up_proj(x)
    if gate.dtype == up.dtype and _swiglu_agrees(gate.device.type, gate.dtype):
        return self.down_proj(_SwiGlu.apply(gate, up))
    return self.down_proj(self.act_fn(gate) * up)


@cache
def _swiglu_agrees(device: str, dtype: torch.dtype) -> bool:
    """Whether ours is silu(gate)·up in this number type: the same values, gradients within two units of the last place."""
    generator = torch.Generator().manual_seed(0)
    gate, up, weight = (torch.randn(4, 8, generator=generator).to(device, dtype) for _ in range(3))
    found = []
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device, enabled=False):
        for function in (_SwiGlu.apply, lambda g, u: F.silu(g) * u):
            inputs = [x.clone().requires_grad_() for x in (gate, up)]
            out = function(*inputs)
            found.append((out.detach(), *torch.autograd.grad(out, inputs, weight)))
    unit = 2 * torch.finfo(dtype).eps
    return torch.equal(found[0][0], found[1][0]) and all(
        torch.allclose(a, b, atol=unit, rtol=unit) for a, b in zip(*found)
    )


@contextmanager
def fused_elementwise(model: Network) -> Iterator[list[str]]:
    """Run a model with the replacements inside a `with` block; afterwards it is as before."""
    try:
        yield use_fused_elementwise(model)
    finally:
        restore_elementwise(model)


def restore_elementwise(model: Network) -> None:
    """Take every replacement off; a model without any stays as it is."""
    for module in model.modules():
        if is_replaced(module):
            restore_forward(module)


def use_fused_elementwise(model: Network) -> list[str]:
    """Replace what can be replaced in a transformers model in fp32; returns what was.

    Other models are not touched, also none of the same family; `restore_elementwise` undoes it.
    """
    done: list[str] = []
    if next(model.parameters()).dtype != torch.float32:
        return done
    if bind_rotary(model):
        done.append("rotary")
    norms = [m for m in model.modules() if is_rms_norm(m)]
    if sum(_replace_norm(m) for m in norms):
        done.append("rmsnorm")
    if sum(_replace_mlp(m) for m in list(model.modules())):
        done.append("swiglu")
    return done


def is_rms_norm(module: nn.Module) -> bool:
    """Whether a module calls itself an RMSNorm; whether its formula is the usual one is tried before it is replaced."""
    return type(module).__name__.endswith("RMSNorm")


def swiglu_parts(module: object) -> TypeGuard[FeedForward]:
    """Whether a module has the parts of down(silu(gate(x))·up(x))."""
    parts = (getattr(module, name, None) for name in ("gate_proj", "up_proj", "down_proj"))
    return (
        all(isinstance(part, nn.Module) for part in parts) and "SiLU" in type(getattr(module, "act_fn", None)).__name__
    )


def _replace_norm(norm: nn.Module) -> bool:
    """Patch one norm whose output is weight·x/rms."""
    if is_replaced(norm):
        return True
    eps, weight = _eps(norm), getattr(norm, "weight", None)
    if eps is None or weight is None or weight.dim() != 1:
        return False
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, len(weight), generator=generator).to(weight.device)
    own = weight.detach().clone()
    with torch.no_grad():
        try:
            weight.copy_(torch.randn(len(weight), generator=generator))  # untrained ones would hide a norm without them
            same = torch.allclose(norm(x), _RmsNorm.apply(x, weight, eps), atol=1e-5, rtol=1e-5)
        finally:
            weight.copy_(own)
    if not same:
        return False
    replace_forward(norm, _norm_forward)
    return True


def _replace_mlp(mlp: nn.Module) -> bool:
    """Patch one feed-forward block whose output is down(silu(gate(x))·up(x))."""
    if is_replaced(mlp):
        return swiglu_parts(mlp)
    if not swiglu_parts(mlp):
        return False
    weight = mlp.gate_proj.weight
    if weight.dtype != torch.float32:  # quantized
        return False
    x = torch.randn(2, weight.shape[-1], generator=torch.Generator().manual_seed(0)).to(weight.device)
    with torch.no_grad():
        if not torch.equal(mlp.act_fn(x), F.silu(x)) or not torch.allclose(
            mlp(x), _mlp_forward(mlp, x), atol=1e-5, rtol=1e-5
        ):
            return False
    replace_forward(mlp, _mlp_forward)
    return True
