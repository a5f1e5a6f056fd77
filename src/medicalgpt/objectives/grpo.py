"""Group-relative policy optimisation (GRPO, arXiv 2402.03300): advantages from siblings, KL inside the loss.

Per token: −min(ρ·A, clip(ρ, 1−ε, 1+ε')·A) + β·k3(π, π_ref). `reduce` says how tokens become one number: "answer" means
over the tokens of each answer, then over answers (the paper); "token" over all tokens alike (DAPO, arXiv 2503.14476).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch

from medicalgpt.objectives.advantages import kl_terms
from medicalgpt.objectives.base import LossOut, Needs, Objective, Policy
from medicalgpt.objectives.ppo import clipped_policy_loss, ratio_metrics
from medicalgpt.objectives.rloo import answer_count, answers_of


@final
@dataclass(frozen=True)
class GroupRelative(Objective):
    """The batch brings `old`, `advantages` and, with β > 0, `reference` [N] in `extra`."""

    needs: ClassVar[Needs] = Needs(data="dialogue", rollouts=True)

    clip_low: float = 0.2
    clip_high: float = 0.2
    beta: float = 0.0
    reduce: Literal["token", "answer"] = "token"

    def loss(self, policy: Policy, batch: Any, ref: torch.Tensor | None) -> LossOut:
        tokens, advantages = batch.weights.sum(), batch.extra["advantages"]
        logps = policy.logps(batch)[0]
        log_ratio = logps - batch.extra["old"]
        losses = clipped_policy_loss(log_ratio.exp(), advantages, self.clip_low, self.clip_high)
        if self.beta:
            losses = losses + self.beta * kl_terms(logps, batch.extra["reference"], "k3")
        metrics = ratio_metrics(log_ratio, advantages, self.clip_low, self.clip_high, tokens)
        if self.reduce == "answer":
            owner, answers = answers_of(batch)
            losses = losses / torch.bincount(owner, minlength=answers)[owner]
        unit: Literal["token", "answer"] = self.reduce
        return LossOut(losses.sum(), self.count(batch), unit, metrics)

    def count(self, batch: Any) -> torch.Tensor:
        if self.reduce == "token":
            return batch.weights.sum()  # type: ignore[no-any-return]
        return answer_count(batch)
