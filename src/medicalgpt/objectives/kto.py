"""Kahneman–Tversky optimization (arXiv 2402.01306): answers that were judged one by one, without a counterpart.

With r = log π(y|x) − log π_ref(y|x) of an answer, and z the mean of the same over prompts with the answers of others, never
below 0 and without gradient:

    desirable     λ_D · (1 − σ(β·(r − z)))
    undesirable   λ_U · (1 − σ(β·(z − r)))

z estimates how far the policy has moved from the reference as a whole: an answer is worth what it gained beyond that.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from medicalgpt.objectives.base import (
    B,
    Batch,
    LanguagePolicy,
    LossOut,
    Metrics,
    Needs,
    Objective,
    given,
    share_above_zero,
)
from medicalgpt.objectives.segments import segment_sums


def kto_values(ratios: torch.Tensor, desirable: torch.Tensor, baseline: torch.Tensor, beta: float) -> torch.Tensor:
    """How far beyond the baseline [scalar] each answer stands on its right side [S], from log-ratios [S] and verdicts [S]."""
    return beta * torch.where(desirable, ratios - baseline, baseline - ratios)


@final
@dataclass(frozen=True)
class UnpairedFeedback(Objective[LanguagePolicy[B], B]):
    """KTO on feedback trees: a prompt, one answer, and the verdict on it."""

    needs: ClassVar[Needs] = Needs(reference=True, baseline=True)

    beta: float = 0.1
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0

    def count(self, batch: B) -> torch.Tensor:
        return batch.weights.new_tensor(float(len(batch.desirable)))

    def baseline(self, policy: LanguagePolicy[B], mismatched: B) -> tuple[torch.Tensor, torch.Tensor]:
        ratios = _ratios(policy.logps(mismatched)[0], mismatched)
        return ratios.sum(), mismatched.weights.new_tensor(float(len(ratios)))

    def loss(self, policy: LanguagePolicy[B], batch: B) -> LossOut:
        logps, _ = policy.logps(batch)
        ratios, good = _ratios(logps, batch), batch.desirable
        baseline = given(batch.baseline, "KTO", "the step's baseline").clamp(min=0)
        values = kto_values(ratios, good, baseline, self.beta)
        losses = torch.where(good, self.desirable_weight, self.undesirable_weight) * (1 - torch.sigmoid(values))
        count = self.count(batch)
        with torch.no_grad():
            leaves = batch.leaves.reshape(-1)
            means = segment_sums(logps * batch.weights, batch.segment, batch.segments)[leaves]
            means = means / segment_sums(batch.weights, batch.segment, batch.segments)[leaves]
            metrics: Metrics = {
                "rewards/accuracy": (share_above_zero(values).float(), count),
                "kl_baseline": (baseline * count, count),
            }
            for name, kind in (("desirable", good), ("undesirable", ~good)):
                many = kind.sum().float()
                metrics[f"rewards/{name}"] = (self.beta * ratios[kind].sum(), many)
                metrics[f"logps/{name}"] = (means[kind].sum(), many)
        return LossOut(losses.sum(), count, "answer", metrics)

    def advice(self, desirable: int, undesirable: int) -> str | None:
        return weight_advice(desirable, undesirable, self.desirable_weight, self.undesirable_weight)


def _ratios(logps: torch.Tensor, batch: Batch) -> torch.Tensor:
    """log π − log π_ref of each tree's answer [S], summed over its tokens."""
    ref = given(batch.reference, "KTO", "reference log-probabilities")
    return segment_sums((logps - ref) * batch.weights, batch.segment, batch.segments)[batch.leaves.reshape(-1)]


def weight_advice(desirable: int, undesirable: int, desirable_weight: float, undesirable_weight: float) -> str | None:
    """A warning where the weighted counts of desirable and undesirable answers are out of balance; else None.

    The paper (section 4.2) asks for λ_D·n_D / (λ_U·n_U) between 1 and 4/3. A quarter beyond either end is let pass.
    """
    counts = f"{desirable} desirable and {undesirable} undesirable rows"
    if not desirable or not undesirable:
        return f"warning: {counts}; KTO learns from the contrast of both kinds, add rows of the other one"
    balance = desirable_weight * desirable / (undesirable_weight * undesirable)
    if 1 / 1.25 <= balance <= 4 / 3 * 1.25:
        return None
    low, high = (undesirable_weight * undesirable / desirable * share for share in (1, 4 / 3))
    other = desirable_weight * desirable / undesirable
    return (
        f"warning: {counts}, weighted {balance:.2f} to 1; the paper advises between 1 and 1.33. Set objective.desirable_weight "
        f"to {low:.2f} … {high:.2f}, or objective.undesirable_weight to {other * 0.75:.2f} … {other:.2f}, not both"
    )
