"""Direct preference optimization (arXiv 2305.18290) with hinge (2305.10425) and IPO (2310.12036) variants.

With r = log π(y|x) − log π_ref(y|x) for chosen (c) and rejected (r) answers and Δ = r_c − r_r:

    sigmoid  −(1−ε)·log σ(βΔ) − ε·log σ(−βΔ)        ε: label smoothing
    hinge    max(0, 1 − βΔ)
    ipo      (Δ − 1/(2β))², with each r divided by its answer's length, as in the paper's own experiments
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F

from medicalgpt.objectives.base import (
    B,
    LanguagePolicy,
    LossOut,
    Metrics,
    Needs,
    PairObjective,
    given,
    share_above_zero,
)
from medicalgpt.objectives.segments import segment_sums

Kind = Literal["sigmoid", "hinge", "ipo"]


def dpo_loss(
    chosen: torch.Tensor, rejected: torch.Tensor, beta: float, kind: Kind = "sigmoid", label_smoothing: float = 0.0
) -> torch.Tensor:
    """Loss per pair [P] from policy-to-reference log-ratios of the chosen and rejected answers [P].

    Raises:
        ValueError: beta is not above 0 (the loss would be a constant and nothing would be learned).
    """
    if beta <= 0:
        raise ValueError(f"beta must be above 0, not {beta}")
    delta = chosen - rejected
    if kind == "hinge":
        return torch.relu(1 - beta * delta)
    if kind == "ipo":
        return (delta - 1 / (2 * beta)) ** 2
    return -(1 - label_smoothing) * F.logsigmoid(beta * delta) - label_smoothing * F.logsigmoid(-beta * delta)


@final
@dataclass(frozen=True)
class DirectPreference(PairObjective[LanguagePolicy[B], B]):
    """DPO on preference trees: the prompt once, the chosen branch first, the rejected branch second."""

    needs: ClassVar[Needs] = Needs(reference=True)

    beta: float = 0.1
    kind: Kind = "sigmoid"
    label_smoothing: float = 0.0
    length_normalized: bool = False
    sft_weight: float = 0.0

    def loss(self, policy: LanguagePolicy[B], batch: B) -> LossOut:
        ref = given(batch.reference, "DPO", "reference log-probabilities")
        logps, _ = policy.logps(batch)
        pairs = batch.leaves.reshape(-1, 2)
        lengths = segment_sums(batch.weights, batch.segment, batch.segments)[pairs]  # [P, 2]
        summed = segment_sums(logps * batch.weights, batch.segment, batch.segments)[pairs]
        ratios = summed - segment_sums(ref * batch.weights, batch.segment, batch.segments)[pairs]
        scores = ratios / lengths if self.length_normalized or self.kind == "ipo" else ratios
        losses = dpo_loss(scores[:, 0], scores[:, 1], self.beta, self.kind, self.label_smoothing)
        if self.sft_weight:
            losses = losses - self.sft_weight * summed[:, 0] / lengths[:, 0]
        count = self.count(batch)
        return LossOut(losses.sum(), count, "pair", self._metrics(batch, scores, summed, lengths, logps, ref, count))

    @torch.no_grad()
    def _metrics(
        self,
        batch: B,
        scores: torch.Tensor,
        summed: torch.Tensor,
        lengths: torch.Tensor,
        logps: torch.Tensor,
        ref: torch.Tensor,
        count: torch.Tensor,
    ) -> Metrics:
        rewards = self.beta * scores.detach()
        margin = rewards[:, 0] - rewards[:, 1]
        gap = ref - logps.detach()
        kl = torch.exp(gap.clamp(max=20)) - 1 - gap  # k3 (Schulman 2020): never negative, zero when nothing moved
        out = {
            "rewards/chosen": rewards[:, 0].sum(),
            "rewards/rejected": rewards[:, 1].sum(),
            "rewards/margin": margin.sum(),
            # A tie is neither right nor wrong: at step 0 policy and reference agree and accuracy reads one half.
            "rewards/accuracy": share_above_zero(margin),
            "logps/chosen": (summed[:, 0] / lengths[:, 0]).detach().sum(),
            "logps/rejected": (summed[:, 1] / lengths[:, 1]).detach().sum(),
        }
        metrics = {k: (v.float(), count) for k, v in out.items()}
        metrics["kl"] = ((kl * batch.weights).sum(), batch.weights.sum())
        return metrics
