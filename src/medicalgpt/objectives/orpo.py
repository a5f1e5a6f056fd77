"""Odds-ratio preference optimization (arXiv 2403.07691): instructions and preferences in one loss, without a reference.

With ℓ(y) = mean log-probability per token of an answer and odds(y) = e^ℓ / (1 − e^ℓ):

    loss = −ℓ(chosen) − λ·log σ(log odds(chosen) − log odds(rejected))
"""

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F

from medicalgpt.objectives.base import B, LanguagePolicy, LossOut, PairObjective, share_above_zero
from medicalgpt.objectives.segments import pair_means

# A mean log-probability of exactly 0 has infinite odds; fp32 cannot tell anything nearer to 0 from it.
_CERTAIN = -1e-7


def log_odds_ratio(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """log odds(chosen) − log odds(rejected) [P] from mean log-probabilities per token [P], each at most 0."""
    chosen, rejected = chosen.clamp(max=_CERTAIN), rejected.clamp(max=_CERTAIN)
    return chosen - rejected - (torch.log(-torch.expm1(chosen)) - torch.log(-torch.expm1(rejected)))


@final
@dataclass(frozen=True)
class OddsRatioPreference(PairObjective[LanguagePolicy[B], B]):
    """ORPO on preference trees: the prompt once, the chosen branch first, the rejected branch second."""

    weight: float = 0.1

    def loss(self, policy: LanguagePolicy[B], batch: B) -> LossOut:
        logps, hits = policy.logps(batch)
        means = pair_means(logps, batch)
        ratio = log_odds_ratio(means[:, 0], means[:, 1])
        odds = -F.logsigmoid(ratio)
        losses = -means[:, 0] + self.weight * odds
        count = self.count(batch)
        with torch.no_grad():
            out = {
                "sft_loss": -means[:, 0].sum(),
                "odds_loss": odds.sum(),
                "log_odds_ratio": ratio.sum(),
                "rewards/accuracy": share_above_zero(ratio),
                "logps/chosen": means[:, 0].sum(),
                "logps/rejected": means[:, 1].sum(),
            }
            metrics = {k: (v.float(), count) for k, v in out.items()}
            chosen = torch.isin(batch.segment, batch.leaves.reshape(-1, 2)[:, 0])
            weights = batch.weights * chosen
            metrics["accuracy"] = ((hits * weights).sum(), weights.sum())
        return LossOut(losses.sum(), count, "pair", metrics)
