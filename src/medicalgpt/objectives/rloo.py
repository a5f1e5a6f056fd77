"""REINFORCE with a leave-one-out baseline (RLOO, arXiv 2402.14740): several answers a prompt instead of a critic.

An answer's reward is its score − β·Σ KL; its advantage is the reward minus the mean of its siblings'. The whole answer
is one action: with ρ = π(answer) / π_old(answer), the loss of an answer is −min(ρ·A, clip(ρ, 1−ε, 1+ε')·A).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch

from medicalgpt.objectives.base import LossOut, Needs, Objective, Policy
from medicalgpt.objectives.ppo import clipped_policy_loss, ratio_metrics


@final
@dataclass(frozen=True)
class LeaveOneOut(Objective):
    """The batch brings `old` [N] and `advantages` [N] (equal over an answer's tokens) in `extra`."""

    needs: ClassVar[Needs] = Needs(data="dialogue", rollouts=True)

    clip_low: float = 0.2
    clip_high: float = 0.2

    def loss(self, policy: Policy, batch: Any, ref: torch.Tensor | None) -> LossOut:
        count = self.count(batch)
        log_ratios = policy.logps(batch)[0] - batch.extra["old"]
        owner, answers = answers_of(batch)
        log_ratio = torch.zeros(answers, device=owner.device).index_add(0, owner, log_ratios)
        first = torch.zeros_like(log_ratio).index_add(0, owner, batch.extra["advantages"])
        advantages = first / torch.bincount(owner, minlength=answers)
        losses = clipped_policy_loss(log_ratio.exp(), advantages, self.clip_low, self.clip_high)
        metrics = ratio_metrics(log_ratio, advantages, self.clip_low, self.clip_high, count)
        return LossOut(losses.sum(), count, "answer", metrics)

    def count(self, batch: Any) -> torch.Tensor:
        return answer_count(batch)


def answer_count(batch: Any) -> torch.Tensor:
    """How many answers the batch holds."""
    return batch.weights.new_tensor(float(answers_of(batch)[1]))  # type: ignore[no-any-return]


def answers_of(batch: Any) -> tuple[torch.Tensor, int]:
    """For every weighted position [N] the number of its answer in the batch, and how many answers there are."""
    segments, owner = torch.unique_consecutive(batch.segment, return_inverse=True)
    return owner, len(segments)
