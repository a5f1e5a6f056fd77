"""Next-token prediction: continued pretraining and supervised fine-tuning.

Both minimize Σ wᵢ·(−log p(tokenᵢ | path before it)) / Σ wᵢ. They differ only in the data they read and in which tokens
carry weight, which the renderer decides.
"""

from typing import final

from medicalgpt.objectives.base import B, LanguagePolicy, LossOut, TokenObjective, token_metrics


def _nll(policy: LanguagePolicy[B], batch: B) -> LossOut:
    total, logps, hits = policy.nll(batch)
    return LossOut(total, batch.weights.sum(), "token", token_metrics(logps, hits, batch.weights))


@final
class Pretraining(TokenObjective[LanguagePolicy[B], B]):
    """PT: every token of every document is predicted."""

    def loss(self, policy: LanguagePolicy[B], batch: B) -> LossOut:
        return _nll(policy, batch)


@final
class SupervisedFineTuning(TokenObjective[LanguagePolicy[B], B]):
    """SFT: the assistant's text and its stop token are predicted."""

    def loss(self, policy: LanguagePolicy[B], batch: B) -> LossOut:
        return _nll(policy, batch)
