"""Proximal policy optimization (arXiv 1707.06347) of a language model against a score (arXiv 2203.02155).

With ratio ρ = π(token) / π_old(token) and advantage A, per token:

    policy   −min(ρ·A, clip(ρ, 1−ε, 1+ε')·A) − entropy·H(π)
    critic   ½·max((V − R)², (V_old + clip(V − V_old, −ε_v, ε_v) − R)²)

Both are means over all tokens of a minibatch.
"""

from dataclasses import dataclass
from typing import final

import torch

from medicalgpt.objectives.base import B, Critic, LanguagePolicy, LossOut, Metrics, TokenObjective, given, rollout_of


def clipped_policy_loss(
    ratio: torch.Tensor, advantages: torch.Tensor, clip_low: float = 0.2, clip_high: float = 0.2
) -> torch.Tensor:
    """Loss of every token (or sequence) from its ratio and advantage, same shape; a bound from above on −ρ·A."""
    return torch.max(-advantages * ratio, -advantages * ratio.clamp(1 - clip_low, 1 + clip_high))


def clipped_value_loss(
    values: torch.Tensor, old_values: torch.Tensor, returns: torch.Tensor, clip: float | None = 0.2
) -> torch.Tensor:
    """Half the squared error [N] of the value of every token; with `clip` the worse of it and the clipped value's."""
    error = (values - returns) ** 2
    if clip is not None:
        error = torch.max(error, (old_values + (values - old_values).clamp(-clip, clip) - returns) ** 2)
    return 0.5 * error


def ratio_metrics(
    log_ratio: torch.Tensor, advantages: torch.Tensor, clip_low: float, clip_high: float, count: torch.Tensor
) -> Metrics:
    """Mean ratio, share of tokens whose gradient the clipping stopped, and k3 estimate of KL(π_old ‖ π)."""
    ratio = log_ratio.detach().exp()
    clipped = ((ratio > 1 + clip_high) & (advantages > 0)) | ((ratio < 1 - clip_low) & (advantages < 0))
    return {
        "ratio": (ratio.sum(), count),
        "clip_fraction": (clipped.float().sum(), count),
        "approx_kl": ((ratio - 1 - log_ratio.detach()).sum(), count),
    }


@final
@dataclass(frozen=True)
class ClippedPolicy(TokenObjective[LanguagePolicy[B], B]):
    """The policy's half. The batch brings `rollout.old` and `rollout.advantages` [N]."""

    clip_low: float = 0.2
    clip_high: float = 0.2
    entropy: float = 0.0

    def loss(self, policy: LanguagePolicy[B], batch: B) -> LossOut:
        rollout, count = rollout_of(batch, "PPO"), self.count(batch)
        advantages = given(rollout.advantages, "PPO", "advantages")
        entropy: torch.Tensor | None = None
        if self.entropy:
            logps, entropy = policy.distribution(batch)
        else:
            logps = policy.logps(batch)[0]
        log_ratio = logps - rollout.old
        losses = clipped_policy_loss(log_ratio.exp(), advantages, self.clip_low, self.clip_high)
        metrics = ratio_metrics(log_ratio, advantages, self.clip_low, self.clip_high, count)
        if entropy is not None:
            losses = losses - self.entropy * entropy
        return LossOut(losses.sum(), count, "token", metrics)


@final
@dataclass(frozen=True)
class ClippedValue(TokenObjective[Critic[B], B]):
    """The critic's half. The batch brings `rollout.old_values` and `rollout.returns` [N]."""

    clip: float | None = 0.2

    def loss(self, policy: Critic[B], batch: B) -> LossOut:
        rollout, count = rollout_of(batch, "PPO's critic"), self.count(batch)
        old = given(rollout.old_values, "PPO's critic", "its old values")
        returns = given(rollout.returns, "PPO's critic", "returns")
        values = policy.values(batch)
        losses = clipped_value_loss(values, old, returns, self.clip)
        return LossOut(losses.sum(), count, "token", {"value_loss": (losses.detach().sum(), count)})
