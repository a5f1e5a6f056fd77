"""Group-relative policy optimization (GRPO, arXiv 2402.03300): advantages from siblings, KL inside the loss.

Per token: −min(ρ·A, clip(ρ, 1−ε, 1+ε')·A) + β·k3(π, π_ref). With `ratio="sequence"` (GSPO, arXiv 2507.18071) ρ is one
number an answer, the geometric mean of its tokens' ratios, and its gradient reaches all of them. `loss_type` says how
tokens become one number; the names are TRL's.
"""

from dataclasses import dataclass
from typing import Final, Literal, final

import torch

from medicalgpt.objectives.advantages import group_relative, kl_terms
from medicalgpt.objectives.base import B, LanguagePolicy, LossOut, Metrics, Objective, given, rollout_of
from medicalgpt.objectives.ppo import clipped_policy_loss, ratio_metrics
from medicalgpt.objectives.rloo import answer_count, answers_of

LossType = Literal["grpo", "bnpo", "dapo", "dr_grpo"]
_UNIT: Final[dict[LossType, Literal["token", "answer"]]] = {
    "grpo": "answer",
    "bnpo": "token",
    "dapo": "token",
    "dr_grpo": "token",
}


@final
@dataclass(frozen=True)
class GroupRelative(Objective[LanguagePolicy[B], B]):
    """The batch brings `rollout.old`, `rollout.advantages`, with β > 0 `reference` and for DAPO `rollout.mean_length`.

    The loss of a minibatch of M answers is the sum over all their tokens, divided by: their tokens ("bnpo"); M times the
    mean length of all answers of the update ("dapo", arXiv 2503.14476); M times `longest` ("dr_grpo", arXiv 2503.20783).
    "grpo" is the mean over each answer's tokens, then over answers (the paper). `scale` divides advantages by the
    group's standard deviation. With `rollout.counted` tokens of value 0 add nothing to any of these sums ("bnpo" and "dapo"
    divide by counted tokens, the others by all answers).
    """

    clip_low: float = 0.2
    clip_high: float = 0.2
    beta: float = 0.0
    loss_type: LossType = "bnpo"
    scale: bool = True
    ratio: Literal["token", "sequence"] = "token"
    longest: int = 1

    def loss(self, policy: LanguagePolicy[B], batch: B) -> LossOut:
        rollout = rollout_of(batch, "GRPO")
        advantages = given(rollout.advantages, "GRPO", "advantages")
        logps = policy.logps(batch)[0]
        counted = rollout.counted if rollout.counted is not None else torch.ones_like(logps)
        losses, metrics = self._policy_loss(logps - rollout.old, advantages, counted, batch)
        if self.beta:
            reference = given(batch.reference, "GRPO", "reference log-probabilities")
            losses = losses + self.beta * kl_terms(logps, reference, "k3")
        losses = losses * counted
        if self.loss_type == "grpo":
            owner, answers = answers_of(batch)
            losses = losses / torch.bincount(owner, minlength=answers)[owner]
        return LossOut(losses.sum(), self.count(batch), _UNIT[self.loss_type], metrics)

    def _policy_loss(
        self, log_ratio: torch.Tensor, advantages: torch.Tensor, counted: torch.Tensor, batch: B
    ) -> tuple[torch.Tensor, Metrics]:
        """Clipped loss [N] of every token, the same over an answer where the ratio is the answer's; and metrics of what counts."""
        bounds = self.clip_low, self.clip_high
        metrics = _metrics(log_ratio, advantages, counted, *bounds)
        if self.ratio == "token":
            return clipped_policy_loss(log_ratio.exp(), advantages, *bounds), metrics
        owner, answers = answers_of(batch)
        sizes = torch.bincount(owner, minlength=answers)
        whole = log_ratio.new_zeros(answers).index_add(0, owner, log_ratio) / sizes
        each = advantages.new_zeros(answers).index_add(0, owner, advantages) / sizes
        losses = clipped_policy_loss(whole.exp(), each, *bounds)
        # How far the policy has moved stays a number per token: `stop_kl` bounds it whatever the ratio is.
        moved = metrics["approx_kl"]
        metrics = _metrics(whole, each, torch.zeros_like(whole).index_add(0, owner, counted), *bounds)
        metrics |= {"approx_kl": moved}
        return losses[owner], metrics

    def count(self, batch: B) -> torch.Tensor:
        if self.loss_type == "bnpo":
            counted = rollout_of(batch, "GRPO").counted
            return batch.weights.sum() if counted is None else counted.sum()
        answers = answer_count(batch)
        if self.loss_type == "dapo":
            mean = rollout_of(batch, "GRPO").mean_length
            if mean is None:
                raise ValueError("GRPO with DAPO's mean needs the mean length of the update's answers")
            return answers * mean
        return answers * self.longest if self.loss_type == "dr_grpo" else answers

    def advantages(self, scores: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
        return group_relative(scores, self.scale)


def _metrics(
    log_ratio: torch.Tensor, advantages: torch.Tensor, counted: torch.Tensor, clip_low: float, clip_high: float
) -> Metrics:
    """Metrics of the tokens or answers [N] that carry loss: those where `counted` [N] is above 0."""
    kept = counted > 0
    return ratio_metrics(log_ratio[kept], advantages[kept], clip_low, clip_high, kept.float().sum())
