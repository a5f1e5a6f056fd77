"""Simple preference optimization (arXiv 2405.14734): the mean log-probability is the reward, and no reference is needed.

With ℓ(y) = mean log-probability per token of an answer and a target margin γ between the rewards β·ℓ:

    loss = −log σ(β·(ℓ(chosen) − ℓ(rejected)) − γ)
"""

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F

from medicalgpt.objectives.base import B, LanguagePolicy, LossOut, PairObjective, share_above_zero
from medicalgpt.objectives.segments import pair_means


def simpo_loss(chosen: torch.Tensor, rejected: torch.Tensor, beta: float, gamma: float) -> torch.Tensor:
    """Loss per pair [P] from mean log-probabilities per token [P], in nats; `gamma` is in the unit of the reward."""
    return -F.logsigmoid(beta * (chosen - rejected) - gamma)


@final
@dataclass(frozen=True)
class SimplePreference(PairObjective[LanguagePolicy[B], B]):
    """SimPO on preference trees: the prompt once, the chosen branch first, the rejected branch second."""

    beta: float = 2.0
    gamma: float = 1.0

    def loss(self, policy: LanguagePolicy[B], batch: B) -> LossOut:
        means = pair_means(policy.logps(batch)[0], batch)
        losses = simpo_loss(means[:, 0], means[:, 1], self.beta, self.gamma)
        count = self.count(batch)
        with torch.no_grad():
            margin = self.beta * (means[:, 0] - means[:, 1])
            out = {
                "rewards/margin": margin.sum(),
                "rewards/accuracy": share_above_zero(margin),
                "rewards/target_reached": share_above_zero(margin - self.gamma),
                "logps/chosen": means[:, 0].sum(),
                "logps/rejected": means[:, 1].sum(),
            }
        return LossOut(losses.sum(), count, "pair", {k: (v.float(), count) for k, v in out.items()})
