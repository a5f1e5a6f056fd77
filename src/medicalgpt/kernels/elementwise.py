"""Rotary embedding, RMSNorm and SwiGLU with hand-written gradients: the same numbers, fewer passes over less memory.

Autograd of transformers' readable versions stores and rereads every intermediate. On a CPU that is a tenth of a training
step. Each replacement is compared with the original on random input first and left out where they differ.
"""

import sys
import types
from collections.abc import Callable, Iterator
from typing import ClassVar, Protocol, TypeGuard

import torch
import torch.nn.functional as F
from torch import nn

from medicalgpt.kernels.autograd import AutogradContext


class _Rotary(torch.autograd.Function):
    """x·cos + rotate_half(x)·sin. Shapes: x [B, H, T, D]; cos, sin [B, 1, T, D]."""

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
    """A norm of transformers, and what is noted on it when its forward is replaced."""

    weight: torch.Tensor
    forward: Callable[[torch.Tensor], torch.Tensor]
    plain_forward: Callable[[torch.Tensor], torch.Tensor]
    fused_eps: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., D] → [..., D]."""
        ...


class FeedForward(Protocol):
    """A block down(act(gate(x))·up(x)) of transformers."""

    gate_proj: nn.Linear
    up_proj: nn.Linear
    down_proj: Callable[[torch.Tensor], torch.Tensor]
    act_fn: Callable[[torch.Tensor], torch.Tensor]
    forward: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., D] → [..., D]."""
        ...


def _norm_forward(self: RmsNorm, x: torch.Tensor) -> torch.Tensor:
    if x.dtype != torch.float32 or torch.is_autocast_enabled(x.device.type):
        return self.plain_forward(x)
    return _RmsNorm.apply(x, self.weight, self.fused_eps)


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
    return self.down_proj(_SwiGlu.apply(self.gate_proj(x), self.up_proj(x)))


class Network(Protocol):
    """A tree of modules, as `nn.Module` is one."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """All of them."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """Itself and all below it."""
        ...


def use_fused_elementwise(model: Network) -> list[str]:
    """Replace what can be replaced in a transformers model in fp32; returns what was."""
    done: list[str] = []
    if next(model.parameters()).dtype != torch.float32:
        return done
    if _replace_rotary(model):
        done.append("rotary")
    norms = [m for m in model.modules() if is_rms_norm(m)]
    if sum(_replace_norm(m) for m in norms):
        done.append("rmsnorm")
    if sum(_replace_mlp(m) for m in list(model.modules())):
        done.append("swiglu")
    return done


def is_rms_norm(module: nn.Module) -> TypeGuard[RmsNorm]:
    """Whether a module calls itself an RMSNorm; whether its formula is the usual one is tried before it is replaced."""
    return type(module).__name__.endswith("RMSNorm")


def swiglu_parts(module: object) -> TypeGuard[FeedForward]:
    """Whether a module has the parts of down(silu(gate(x))·up(x))."""
    parts = (getattr(module, name, None) for name in ("gate_proj", "up_proj", "down_proj"))
    return (
        all(isinstance(part, nn.Module) for part in parts) and "SiLU" in type(getattr(module, "act_fn", None)).__name__
    )


def _replace_rotary(model: Network) -> bool:
    """Swap the function in the model's own module, if it has the usual one."""
    module = sys.modules[type(model).__module__]
    original = getattr(module, "apply_rotary_pos_emb", None)
    if original is None or original is rotary:
        return original is rotary
    if not _same_rotary(original, 8) or not _same_rotary(original, 4, may_refuse=True):
        return False
    module.apply_rotary_pos_emb = rotary  # type: ignore[attr-defined]  # a function of whatever family's module it is
    return True


def _same_rotary(original: Callable[..., tuple[torch.Tensor, ...]], width: int, may_refuse: bool = False) -> bool:
    """Whether ours gives what a family's own function gives, for angles over `width` of 8 numbers a head.

    may_refuse: the function may also fail; most take angles for whole heads only.
    """
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(1, 2, 3, 8, generator=generator), torch.randn(1, 1, 3, 8, generator=generator)
    angle = torch.randn(1, 3, width // 2, generator=generator).repeat(1, 1, 2)
    try:
        theirs = original(q, k, angle.cos(), angle.sin())
    except (TypeError, RuntimeError, ValueError):
        return may_refuse
    ours = rotary(q, k, angle.cos(), angle.sin())
    return all(a.shape == b.shape and torch.allclose(a, b, atol=1e-6) for a, b in zip(theirs, ours))


def _replace_norm(norm: RmsNorm) -> bool:
    """Patch one norm whose output is weight·x/rms."""
    eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
    weight = getattr(norm, "weight", None)
    if eps is None or weight is None or weight.dim() != 1:
        return False
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, len(weight), generator=generator).to(weight.device)
    own = weight.detach().clone()
    with torch.no_grad():
        try:
            weight.copy_(torch.randn(len(weight), generator=generator))  # untrained ones would hide a norm without them
            same = torch.allclose(norm(x), _RmsNorm.apply(x, weight, float(eps)), atol=1e-5, rtol=1e-5)
        finally:
            weight.copy_(own)
    if not same:
        return False
    norm.plain_forward, norm.fused_eps = norm.forward, float(eps)
    norm.forward = types.MethodType(_norm_forward, norm)
    return True


def _replace_mlp(mlp: object) -> bool:
    """Patch one feed-forward block whose output is down(silu(gate(x))·up(x))."""
    if not swiglu_parts(mlp):
        return False
    weight = mlp.gate_proj.weight
    if weight.dtype != torch.float32:  # quantised
        return False
    x = torch.randn(2, weight.shape[-1], generator=torch.Generator().manual_seed(0)).to(weight.device)
    use_fused_elementwise = types.MethodType(_mlp_forward, mlp)
    with torch.no_grad():
        if not torch.equal(mlp.act_fn(x), F.silu(x)) or not torch.allclose(
            mlp(x), use_fused_elementwise(x), atol=1e-5, rtol=1e-5
        ):
            return False
    mlp.forward = use_fused_elementwise
    return True
