"""Log-probability and entropy of the next-token distribution, in chunks, both with gradient.

With p = softmax(z), H = −Σ p·log p and ∂H/∂z_j = −p_j·(log p_j + H): as in kernels/head.py the gradient of each position
with respect to its hidden state is known as soon as its logits are.
"""

from collections.abc import Callable
from typing import ClassVar

import torch

from medicalgpt.kernels.autograd import AutogradContext
from medicalgpt.kernels.head import CHUNK, Head, HeadSettings


class _Distribution(torch.autograd.Function):
    """Saves two gradient rows [D] a position; a trained head is left to `token_logps`, which recomputes its logits."""

    apply: ClassVar[Callable[..., tuple[torch.Tensor, torch.Tensor]]]

    @staticmethod
    def forward(
        ctx: AutogradContext,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        shape: HeadSettings,
        chunk: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        head, n = Head(weight, bias, *shape), len(targets)
        logps = torch.empty(n, dtype=torch.float32, device=hidden.device)
        entropy = torch.empty_like(logps)
        needed = hidden.requires_grad
        of_logp = torch.empty_like(hidden) if needed else None
        of_entropy = torch.empty_like(hidden) if needed else None
        for i in range(0, n, chunk):
            part = slice(i, i + chunk)
            z = head.logits(hidden[part])
            slope = head.slope_of(z)
            log_p = torch.log_softmax(z, -1)
            p, y = log_p.exp(), targets[part]
            logps[part] = log_p.gather(1, y[:, None])[:, 0]
            entropy[part] = -(p * log_p).sum(-1)
            if of_logp is not None and of_entropy is not None:
                toward = -p * (log_p + entropy[part, None])
                of_entropy[part] = head.to_raw(toward, slope).to(weight.dtype) @ head.rows
                grad = p.neg_()
                grad[torch.arange(len(y), device=y.device), y] += 1.0
                of_logp[part] = head.to_raw(grad, slope).to(weight.dtype) @ head.rows
        ctx.save_for_backward(of_logp, of_entropy)
        return logps, entropy

    @staticmethod
    def backward(
        ctx: AutogradContext, up_logps: torch.Tensor, up_entropy: torch.Tensor
    ) -> tuple[torch.Tensor, None, None, None, None, None]:
        of_logp, of_entropy = ctx.saved_tensors
        grad = of_logp * up_logps[:, None].to(of_logp.dtype) + of_entropy * up_entropy[:, None].to(of_logp.dtype)
        return grad, None, None, None, None, None


def token_distribution(
    hidden: torch.Tensor, head: Head, targets: torch.Tensor, chunk: int = CHUNK
) -> tuple[torch.Tensor, torch.Tensor]:
    """log p(target) [N] and entropy in nats [N], fp32; gradients reach `hidden` [N, D].

    A head that is trained itself takes the plain way through autograd, with the logits of all positions in memory.
    """
    if torch.is_grad_enabled() and (head.weight.requires_grad or (head.bias is not None and head.bias.requires_grad)):
        return plain_distribution(head.logits(hidden), targets)
    return _Distribution.apply(hidden, head.weight, head.bias, targets, head.shape, chunk)


def plain_distribution(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same two numbers from logits [N, V] through autograd."""
    log_p = torch.log_softmax(logits, -1)
    return log_p.gather(1, targets[:, None])[:, 0], -(log_p.exp() * log_p).sum(-1)
