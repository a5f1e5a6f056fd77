"""A stage of one's own: SLiC-HF (arXiv 2305.10425), which ranks answers with a hinge and keeps the chosen one likely.

With ℓ(y) = mean log-probability per token of an answer:

    loss = max(0, δ − ℓ(chosen) + ℓ(rejected)) − λ·ℓ(chosen)

    medicalgpt train slic --plugin examples/plugins/slic.py data.train=pairs.jsonl output_dir=runs/slic
"""

from dataclasses import dataclass
from typing import final

import torch
from pydantic import Field

from medicalgpt.extend import (
    B,
    LanguagePolicy,
    LossOut,
    PairConfig,
    PairObjective,
    Section,
    TrainConfig,
    pair_means,
    register_stage,
    share_above_zero,
)


def slic_loss(chosen: torch.Tensor, rejected: torch.Tensor, margin: float, weight: float) -> torch.Tensor:
    """Loss per pair [P] from mean log-probabilities per token [P], in nats."""
    return torch.relu(margin - chosen + rejected) - weight * chosen


@final
@dataclass(frozen=True)
class SequenceLikelihood(PairObjective[LanguagePolicy[B], B]):
    """SLiC-HF on preference trees."""

    margin: float = 1.0
    weight: float = 0.1

    def loss(self, policy: LanguagePolicy[B], batch: B) -> LossOut:
        means = pair_means(policy.logps(batch)[0], batch)
        losses, count = slic_loss(means[:, 0], means[:, 1], self.margin, self.weight), self.count(batch)
        gap = (means[:, 0] - means[:, 1]).detach()
        metrics = {"rewards/margin": (gap.sum(), count), "rewards/accuracy": (share_above_zero(gap), count)}
        return LossOut(losses.sum(), count, "pair", metrics)


class SlicObjective(Section):
    """The keys below `objective`."""

    margin: float = Field(1.0, ge=0, description="Distance δ of both mean log-probabilities, in nats per token.")
    weight: float = Field(0.1, ge=0, description="Weight λ of the chosen answer's log-likelihood.")


class SlicConfig(PairConfig):
    """`medicalgpt train slic`."""

    objective: SlicObjective = SlicObjective()
    train: TrainConfig = TrainConfig(learning_rate=2e-5)


register_stage("slic", SlicConfig, lambda config: SequenceLikelihood(config.objective.margin, config.objective.weight))
