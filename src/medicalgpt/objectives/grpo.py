"""Group-relative policy optimization (GRPO, arXiv 2402.03300): advantages from siblings, KL inside the loss.

Per token: −min(ρ·A, clip(ρ, 1−ε, 1+ε')·A) + β·k3(π, π_ref). `reduce` says how tokens become one number: "answer" means
over the tokens of each answer, then over answers (the paper); "token" over all tokens alike (DAPO, arXiv 2503.14476).
"""

from dataclasses import dataclass
from typing import Literal, final

import torch

from medicalgpt.objectives.advantages import group_relative, kl_terms
from medicalgpt.objectives.base import B, LanguagePolicy, LossOut, Objective, given, rollout_of
from medicalgpt.objectives.ppo import clipped_policy_loss, ratio_metrics
from medicalgpt.objectives.rloo import answer_count, answers_of


@final
@dataclass(frozen=True)
class GroupRelative(Objective[LanguagePolicy[B], B]):
    """The batch brings `rollout.old`, `rollout.advantages` and, with β > 0, `reference`.

    `scale` divides advantages by the group's standard deviation; without it: Dr. GRPO (arXiv 2503.20783).
    """

    clip_low: float = 0.2
    clip_high: float = 0.2
    beta: float = 0.0
    reduce: Literal["token", "answer"] = "token"
    scale: bool = True

    def loss(self, policy: LanguagePolicy[B], batch: B) -> LossOut:
        tokens, rollout = batch.weights.sum(), rollout_of(batch, "GRPO")
        advantages = given(rollout.advantages, "GRPO", "advantages")
        logps = policy.logps(batch)[0]
        log_ratio = logps - rollout.old
        losses = clipped_policy_loss(log_ratio.exp(), advantages, self.clip_low, self.clip_high)
        if self.beta:
            reference = given(batch.reference, "GRPO", "reference log-probabilities")
            losses = losses + self.beta * kl_terms(logps, reference, "k3")
        metrics = ratio_metrics(log_ratio, advantages, self.clip_low, self.clip_high, tokens)
        if self.reduce == "answer":
            owner, answers = answers_of(batch)
            losses = losses / torch.bincount(owner, minlength=answers)[owner]
        unit: Literal["token", "answer"] = self.reduce
        return LossOut(losses.sum(), self.count(batch), unit, metrics)

    def count(self, batch: B) -> torch.Tensor:
        return batch.weights.sum() if self.reduce == "token" else answer_count(batch)

    def advantages(self, scores: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
        return group_relative(scores, self.scale)
