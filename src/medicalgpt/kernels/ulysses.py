"""One packed row on several processes (Ulysses, arXiv 2309.14509): each holds some tokens, and in attention some heads of all tokens.

Everything but attention looks at one token at a time. Around attention tokens are swapped for heads and back, so that it sees the
whole row with all branches and windows as ever. Gradients take the same way in the other direction; each process ends with what
its own tokens give to a weight's gradient, and the sum over the processes is the whole.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
import torch.distributed as dist

from medicalgpt.errors import ModelError
from medicalgpt.kernels.autograd import AutogradContext


@dataclass(frozen=True)
class Peers:
    """The processes that share a row: this is number `rank` of `size` in `group`."""

    group: dist.ProcessGroup
    rank: int
    size: int

    def share(self, tokens: int) -> int:
        """Tokens that each process holds of a row; the row is padded to a multiple."""
        return -(-tokens // self.size)


class _SwapContext(AutogradContext, Protocol):
    peers: Peers
    to_heads: bool


class _Swap(torch.autograd.Function):
    """Tokens for heads [1, H, t, D] → [1, H/n, T, D], or back, [1, H/n, T, D] → [1, H, t, D]; each is the other's gradient."""

    apply: ClassVar[Callable[..., torch.Tensor]]

    @staticmethod
    def forward(ctx: _SwapContext, x: torch.Tensor, peers: Peers, to_heads: bool) -> torch.Tensor:
        ctx.peers, ctx.to_heads = peers, to_heads
        return _swap(x, peers, to_heads)

    @staticmethod
    def backward(ctx: _SwapContext, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _swap(upstream, ctx.peers, not ctx.to_heads), None, None


def _swap(x: torch.Tensor, peers: Peers, to_heads: bool) -> torch.Tensor:
    n = peers.size
    _, heads, tokens, width = x.shape
    if to_heads:
        sent = x.reshape(n, heads // n, tokens, width)
        return _exchanged(sent, peers).transpose(0, 1).reshape(1, heads // n, n * tokens, width)
    sent = x.reshape(heads, n, tokens // n, width).transpose(0, 1)
    return _exchanged(sent, peers).reshape(1, n * heads, tokens // n, width)


def _exchanged(sent: torch.Tensor, peers: Peers) -> torch.Tensor:
    """Part i of `sent` [n, …] goes to process i; what comes back lies by the process that sent it."""
    sent = sent.contiguous()
    found = torch.empty_like(sent)
    dist.all_to_all_single(found, sent, group=peers.group)
    return found


def to_heads(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, peers: Peers
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of own tokens [1, H, t, D] and [1, Hk, t, D] this process's heads of all tokens [1, H/n, T, D] and [1, K/n, T, D].

    Key heads that cannot be shared out evenly are repeated: K is a multiple of Hk and of n.

    Raises:
        ModelError: the heads cannot be shared out.
    """
    heads = query.shape[1]
    if heads % peers.size:
        fitting = ", ".join(str(n) for n in range(1, heads + 1) if heads % n == 0)
        raise ModelError(
            f"distributed.sequence={peers.size}: this model's layers have {heads} attention heads, which so many processes "
            f"cannot share; use one of {fitting}"
        )
    times = repeats(heads, key.shape[1], peers.size)
    if times > 1:
        key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
    query, key, value = (_Swap.apply(x, peers, True) for x in (query, key, value))
    return query, key, value


def repeats(heads: int, key_heads: int, processes: int) -> int:
    """How often each key head is repeated so that as many processes, a divisor of `heads`, can share them out."""
    each = heads // key_heads
    return next(r for r in range(1, each + 1) if each % r == 0 and key_heads * r % processes == 0)


def to_tokens(out: torch.Tensor, peers: Peers) -> torch.Tensor:
    """Of this process's heads of all tokens [1, T, H/n, D] all heads of its own tokens [1, t, H, D]."""
    return _Swap.apply(out.transpose(1, 2), peers, False).transpose(1, 2).contiguous()


class _JoinContext(AutogradContext, Protocol):
    where: torch.Tensor


class _Join(torch.autograd.Function):
    """Values of own positions [n] → those of all [N] on every process. All then compute the same loss, so a gradient goes home once."""

    apply: ClassVar[Callable[..., torch.Tensor]]

    @staticmethod
    def forward(ctx: _JoinContext, mine: torch.Tensor, where: torch.Tensor, total: int, peers: Peers) -> torch.Tensor:
        ctx.where = where
        flags = mine.dtype == torch.bool
        whole = torch.zeros(total, dtype=torch.uint8 if flags else mine.dtype, device=mine.device)
        whole[where] = mine.to(whole.dtype)
        dist.all_reduce(whole, group=peers.group)
        return whole.bool() if flags else whole

    @staticmethod
    def backward(ctx: _JoinContext, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return upstream[ctx.where], None, None, None


class _Sum(torch.autograd.Function):
    """The sum of what each process computed of its own tokens, on all of them."""

    apply: ClassVar[Callable[..., torch.Tensor]]

    @staticmethod
    def forward(ctx: AutogradContext, mine: torch.Tensor, peers: Peers) -> torch.Tensor:
        whole = mine.detach().clone()
        dist.all_reduce(whole, group=peers.group)
        return whole

    @staticmethod
    def backward(ctx: AutogradContext, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        return upstream, None


def joined(mine: torch.Tensor, where: torch.Tensor, total: int, peers: Peers) -> torch.Tensor:
    """Values [total] of all processes' positions from those of the own ones [n], whose numbers are `where` [n]; differentiable."""
    return _Join.apply(mine, where, total, peers)


def summed(mine: torch.Tensor, peers: Peers) -> torch.Tensor:
    """The sum [scalar] of the processes' own parts; differentiable."""
    return _Sum.apply(mine, peers)
