"""REINFORCE with a leave-one-out baseline (RLOO, arXiv 2402.14740): several answers a prompt instead of a critic.

An answer's reward is its score − β·Σ KL; its advantage is the reward minus the mean of its siblings'. The whole answer
is one action: with ρ = π(answer) / π_old(answer), the loss of an answer is −min(ρ·A, clip(ρ, 1−ε, 1+ε')·A).
"""

from dataclasses import dataclass
from typing import final

import torch

from medicalgpt.objectives.advantages import leave_one_out
from medicalgpt.objectives.base import B, Batch, LanguagePolicy, LossOut, Objective, given, rollout_of
from medicalgpt.objectives.ppo import clipped_policy_loss, ratio_metrics


@final
@dataclass(frozen=True)
class LeaveOneOut(Objective[LanguagePolicy[B], B]):
    """The batch brings `rollout.old` [N] and `rollout.advantages` [N] (equal over an answer's tokens)."""

    clip_low: float = 0.2
    clip_high: float = 0.2

    def loss(self, policy: LanguagePolicy[B], batch: B) -> LossOut:
        count, rollout = self.count(batch), rollout_of(batch, "RLOO")
        each = given(rollout.advantages, "RLOO", "advantages")
        log_ratios = policy.logps(batch)[0] - rollout.old
        owner, answers = answers_of(batch)
        log_ratio = torch.zeros(answers, device=owner.device).index_add(0, owner, log_ratios)
        first = torch.zeros_like(log_ratio).index_add(0, owner, each)
        advantages = first / torch.bincount(owner, minlength=answers)
        losses = clipped_policy_loss(log_ratio.exp(), advantages, self.clip_low, self.clip_high)
        metrics = ratio_metrics(log_ratio, advantages, self.clip_low, self.clip_high, count)
        return LossOut(losses.sum(), count, "answer", metrics)

    def count(self, batch: B) -> torch.Tensor:
        return answer_count(batch)

    def advantages(self, scores: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
        return leave_one_out(scores - penalty)


def answer_count(batch: Batch) -> torch.Tensor:
    """How many answers the batch holds."""
    return batch.weights.new_tensor(float(answers_of(batch)[1]))


def answers_of(batch: Batch) -> tuple[torch.Tensor, int]:
    """For every weighted position [N] the number of its answer in the batch, and how many answers there are."""
    segments, owner = torch.unique_consecutive(batch.segment, return_inverse=True)
    return owner, len(segments)
