"""Next-token prediction: continued pretraining and supervised fine-tuning.

Both minimise Σ wᵢ·(−log p(tokenᵢ | path before it)) / Σ wᵢ. They differ only in the data they read and in which tokens
carry weight, which the renderer decides.
"""

from typing import Any, ClassVar, final

import torch

from medicalgpt.objectives.base import LossOut, Needs, Policy, TokenObjective, token_metrics


def _nll(policy: Policy, batch: Any) -> LossOut:
    total, logps, hits = policy.nll(batch)
    return LossOut(total, batch.weights.sum(), "token", token_metrics(logps, hits, batch.weights))


@final
class Pretraining(TokenObjective):
    """PT: every token of every document is predicted."""

    needs: ClassVar[Needs] = Needs(data="document")

    def loss(self, policy: Policy, batch: Any, ref: torch.Tensor | None) -> LossOut:
        return _nll(policy, batch)


@final
class SupervisedFineTuning(TokenObjective):
    """SFT: the assistant's text and its stop token are predicted."""

    needs: ClassVar[Needs] = Needs(data="dialogue")

    def loss(self, policy: Policy, batch: Any, ref: torch.Tensor | None) -> LossOut:
        return _nll(policy, batch)
