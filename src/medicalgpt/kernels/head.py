"""The LM head and cross-entropy on weighted positions only, in chunks, with gradients formed in the same pass.

Full logits never exist: at most `chunk` rows of them, once. For a position with logits z = h·Wᵀ and target y,
∂ log p(y) / ∂z = onehot(y) − softmax(z), so the gradient of every position's log-probability with respect to its hidden
state is known as soon as its logits are, whatever coefficient the objective later gives it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F

from medicalgpt.kernels.autograd import AutogradContext
from medicalgpt.kernels.known_tokens import KnownTokens

# Rows of logits at a time: 512 × 49k fp32 is 100 MB, and larger chunks measured no faster.
CHUNK = 512

HeadSettings = tuple[float, float | None, float, KnownTokens | None]
"""`Head.scale`, `softcap`, `temperature` and `known`."""


@dataclass(frozen=True)
class Head:
    """What turns a hidden state into logits: z = cap·tanh(scale·(h·Wᵀ + b) / cap) / temperature.

    With `known` only the ids that stand for a token have a share, and rows behind the last of them are not multiplied.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None
    temperature: float = 1.0
    known: KnownTokens | None = None

    @property
    def shape(self) -> HeadSettings:
        """Everything but the tensors."""
        return self.scale, self.softcap, self.temperature, self.known

    @property
    def rows(self) -> torch.Tensor:
        """The rows [V, D] that are multiplied."""
        return self.weight if self.known is None else self.known.cut(self.weight)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """fp32 logits [n, V] of hidden states [n, D]; V as in `rows`."""
        bias = self.bias if self.bias is None or self.known is None else self.known.cut(self.bias)
        z = F.linear(hidden.to(self.weight.dtype), self.rows, bias).float()
        if self.scale != 1.0:
            z = z * self.scale
        if self.softcap:
            z = torch.tanh(z / self.softcap) * self.softcap
        z = z if self.temperature == 1.0 else z / self.temperature
        return z if self.known is None else self.known.forbid(z)

    def to_raw(self, grad: torch.Tensor, slope: torch.Tensor | None) -> torch.Tensor:
        """∂/∂z [n, V] turned into ∂/∂(h·Wᵀ + b), in its own memory; `slope` as `slope_of` gives it."""
        if slope is not None:
            grad.mul_(slope)
        factor = self.scale / self.temperature
        return grad if factor == 1.0 else grad.mul_(factor)

    def slope_of(self, z: torch.Tensor) -> torch.Tensor | None:
        """Derivative [n, V] of the soft cap at logits `z`; None without one."""
        if not self.softcap:
            return None
        return (z * (self.temperature / self.softcap)).square_().neg_().add_(1.0)


def _score(head: Head, h: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities [n], hits [n] and ∂logp/∂(h·Wᵀ + b) [n, V] of one chunk.

    The gradient is formed in the memory of the logits: max, subtract, exp and one scaling are all that touches it.
    """
    z = head.logits(h)
    slope = head.slope_of(z)
    top, best = z.max(-1)
    picked = z.gather(1, y[:, None])[:, 0] - top
    weights = z.sub_(top[:, None]).exp_()
    total = weights.sum(-1)
    grad = weights.mul_((-1.0 / total)[:, None])
    grad[torch.arange(len(y), device=y.device), y] += 1.0
    return picked - total.log(), best == y, head.to_raw(grad, slope)


class _LogpsContext(AutogradContext, Protocol):
    settings: tuple[HeadSettings, int, bool]


class _TokenLogps(torch.autograd.Function):
    """log p(target) per position. Saves one gradient row [D] per position; a trained head recomputes its logits once."""

    apply: ClassVar[Callable[..., tuple[torch.Tensor, torch.Tensor]]]

    @staticmethod
    def forward(
        ctx: _LogpsContext,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        shape: HeadSettings,
        chunk: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        head = Head(weight, bias, *shape)
        logps = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        hits = torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
        grad_h = torch.empty_like(hidden) if hidden.requires_grad else None
        for i in range(0, len(targets), chunk):
            part = slice(i, i + chunk)
            logps[part], hits[part], grad = _score(head, hidden[part], targets[part])
            if grad_h is not None:
                grad_h[part] = grad.to(weight.dtype) @ head.rows
        trained = weight.requires_grad or (bias is not None and bias.requires_grad)
        ctx.save_for_backward(grad_h, *((hidden, weight, bias, targets) if trained else (None, weight, bias, None)))
        ctx.settings = (shape, chunk, trained)
        ctx.mark_non_differentiable(hits)
        return logps, hits

    @staticmethod
    def backward(
        ctx: _LogpsContext, upstream: torch.Tensor, _hits: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None, None, None, None]:
        grad_h, hidden, weight, bias, targets = ctx.saved_tensors
        shape, chunk, trained = ctx.settings
        grad_w = grad_b = None
        if trained:
            grad_w = torch.zeros_like(weight) if weight.requires_grad else None
            grad_b = torch.zeros_like(bias) if bias is not None and bias.requires_grad else None
            for i in range(0, len(targets), chunk):
                part = slice(i, i + chunk)
                grad = _score(Head(weight, bias, *shape), hidden[part], targets[part])[2]
                _add_head_grads(grad.mul_(upstream[part, None]).to(weight.dtype), hidden[part], grad_w, grad_b)
        if grad_h is not None:
            grad_h = grad_h * upstream[:, None].to(grad_h.dtype)
        return grad_h, grad_w, grad_b, None, None, None


class _WeightedNll(torch.autograd.Function):
    """Σ −w·log p(target) with weights known beforehand, so the head's own gradient needs no second pass."""

    apply: ClassVar[Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]

    @staticmethod
    def forward(
        ctx: AutogradContext,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        weights: torch.Tensor,
        shape: HeadSettings,
        chunk: int,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        head = Head(weight, bias, *shape)
        logps = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        hits = torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
        grad_h = torch.empty_like(hidden) if hidden.requires_grad else None
        grad_w = torch.zeros_like(weight) if weight.requires_grad else None
        grad_b = torch.zeros_like(bias) if bias is not None and bias.requires_grad else None
        for i in range(0, len(targets), chunk):
            part = slice(i, i + chunk)
            logps[part], hits[part], grad = _score(head, hidden[part], targets[part])
            grad = grad.mul_(-weights[part, None]).to(weight.dtype)
            if grad_h is not None:
                grad_h[part] = grad @ head.rows
            _add_head_grads(grad, hidden[part], grad_w, grad_b)
        ctx.save_for_backward(grad_h, grad_w, grad_b)
        ctx.mark_non_differentiable(logps, hits)
        return -(logps * weights).sum(), logps, hits

    @staticmethod
    def backward(
        ctx: AutogradContext, upstream: torch.Tensor, _logps: torch.Tensor, _hits: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        # In place: the buffers belong to this call alone and a graph is walked once.
        grads = [None if g is None else g.mul_(upstream.to(g.dtype)) for g in ctx.saved_tensors]
        return (*grads, None, None, None, None)


def _add_head_grads(
    grad: torch.Tensor, hidden: torch.Tensor, grad_w: torch.Tensor | None, grad_b: torch.Tensor | None
) -> None:
    if grad_w is not None:
        grad_w[: grad.shape[1]].addmm_(grad.t(), hidden.to(grad.dtype))
    if grad_b is not None:
        grad_b[: grad.shape[1]].add_(grad.sum(0))


def token_logps(
    hidden: torch.Tensor, head: Head, targets: torch.Tensor, chunk: int = CHUNK
) -> tuple[torch.Tensor, torch.Tensor]:
    """Differentiable log p(target) [N] fp32 and whether the target was the most likely token [N].

    Args:
        hidden: [N, D] states that predict `targets` [N].
    """
    return _TokenLogps.apply(hidden, head.weight, head.bias, targets, head.shape, chunk)


def weighted_nll(
    hidden: torch.Tensor, head: Head, targets: torch.Tensor, weights: torch.Tensor, chunk: int = CHUNK
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Σ −weights·log p(targets) (scalar, differentiable once), with log-probabilities [N] and hits [N] for metrics."""
    return _WeightedNll.apply(hidden, head.weight, head.bias, targets, weights, head.shape, chunk)
