"""Reward modeling: a score per answer that ranks the preferred one higher (Bradley & Terry 1952; arXiv 2203.02155).

With scores s of chosen (c) and rejected (r) answers of one prompt, d = s_c − s_r − margin:

    loss = −(1−ε)·log σ(d) − ε·log σ(−d) + center·(s_c + s_r)²

The margin (arXiv 2307.09288) asks for a distance; the center term (arXiv 2312.09244) keeps scores near 0, which the
ranking alone leaves open.
"""

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F

from medicalgpt.objectives.base import B, LossOut, PairObjective, Scorer, share_above_zero


def bradley_terry_loss(
    chosen: torch.Tensor, rejected: torch.Tensor, margin: float = 0.0, center: float = 0.0, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Loss per pair [P] from the scores of the chosen and the rejected answer [P]."""
    d = chosen - rejected - margin
    losses = -(1 - label_smoothing) * F.logsigmoid(d) - label_smoothing * F.logsigmoid(-d)
    return losses + center * (chosen + rejected) ** 2 if center else losses


@final
@dataclass(frozen=True)
class RewardModeling(PairObjective[Scorer[B], B]):
    """Bradley–Terry on preference trees: the prompt once, the chosen branch first, the rejected branch second."""

    margin: float = 0.0
    center: float = 0.0
    label_smoothing: float = 0.0

    def loss(self, policy: Scorer[B], batch: B) -> LossOut:
        scores = policy.scores(batch).reshape(-1, 2)
        chosen, rejected = scores[:, 0], scores[:, 1]
        losses = bradley_terry_loss(chosen, rejected, self.margin, self.center, self.label_smoothing)
        count = self.count(batch)
        with torch.no_grad():
            gap = chosen - rejected
            out = {
                "rewards/chosen": chosen.sum(),
                "rewards/rejected": rejected.sum(),
                "rewards/margin": gap.sum(),
                "rewards/accuracy": share_above_zero(gap),
            }
        return LossOut(losses.sum(), count, "pair", {k: (v.float(), count) for k, v in out.items()})
