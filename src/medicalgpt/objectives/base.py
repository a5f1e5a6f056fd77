"""The contract between an objective and the one trainer.

A new objective is one file: a pure tensor function plus a class that names its needs as data. Losses are returned as a
sum and a count of the objective's own unit; the trainer divides by the global count over accumulation steps and ranks,
so batch size, packing and world size never change the loss.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch


@dataclass(frozen=True)
class Needs:
    """Facts about an objective that decide what the trainer prepares."""

    data: Literal["document", "dialogue", "preference", "feedback"]
    reference: bool = False
    scores: bool = False
    baseline: bool = False
    rollouts: bool = False
    critic: bool = False
    teacher: bool = False


Compare = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From log-probabilities [n, V] of policy and teacher to one number a position [n]."""


class Policy(Protocol):
    """What an objective may ask of a model. Tensors are aligned with the batch's N weighted positions."""

    def logps(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """log p(target) [N] with gradient, and whether the target was the most likely token [N]."""
        ...

    def nll(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Σ −weights·log p(target) with gradient, log p(target) [N] and hits [N] without."""
        ...

    def distribution(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """log p(target) [N] and the entropy of the distribution it was drawn from [N] in nats, both with gradient."""
        ...

    def against_teacher(self, batch: Any, compare: Compare) -> torch.Tensor:
        """`compare` [N] of the policy's and the teacher's distributions, with gradient (`Needs.teacher`)."""
        ...

    def scores(self, batch: Any) -> torch.Tensor:
        """One score per leaf of the batch's trees with gradient; reward models only (`Needs.scores`)."""
        ...

    def values(self, batch: Any) -> torch.Tensor:
        """The value [N] of the state in which each target is drawn, with gradient; critics only (`Needs.critic`)."""
        ...


@dataclass
class LossOut:
    """`sum` (scalar, with gradient) over `count` units; each metric is a (sum, count) pair reduced the same way."""

    sum: torch.Tensor
    count: torch.Tensor
    unit: Literal["token", "pair", "answer"]
    metrics: dict[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)


class Objective(ABC):
    """A training objective. Subclasses are final."""

    needs: ClassVar[Needs]

    @abstractmethod
    def loss(self, policy: Policy, batch: Any, ref: torch.Tensor | None) -> LossOut:
        """The loss of one batch. `ref` [N] holds the reference's log-probabilities when `needs.reference` is set."""

    @abstractmethod
    def count(self, batch: Any) -> torch.Tensor:
        """How many units `loss` will count in this batch; known before the forward pass."""

    def baseline(self, policy: Policy, mismatched: Any, ref: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum and count of what `loss` is measured against, on prompts with the answers of others (`Needs.baseline`).

        Asked without gradient for all batches of an optimiser step, over accumulation and ranks, before the first loss of
        the step; `loss` finds the mean in `batch.extra["baseline"]`. In evaluation the whole held-out set is the step.
        """
        raise NotImplementedError(f"{type(self).__name__} has no baseline")


class TokenObjective(Objective):
    """An objective whose unit is the weighted token."""

    def count(self, batch: Any) -> torch.Tensor:
        return batch.weights.sum()  # type: ignore[no-any-return]


class PairObjective(Objective):
    """An objective on preference trees: the prompt once, the chosen branch first, the rejected branch second."""

    def count(self, batch: Any) -> torch.Tensor:
        return batch.weights.new_tensor(float(batch.leaves.reshape(-1, 2).shape[0]))  # type: ignore[no-any-return]


def share_above_zero(gap: torch.Tensor) -> torch.Tensor:
    """How many gaps [P] are above 0, summed; a tie is neither right nor wrong and counts one half."""
    return (gap > 0).sum() + 0.5 * (gap == 0).sum()


def token_metrics(
    logps: torch.Tensor, hits: torch.Tensor, weights: torch.Tensor
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Next-token accuracy and token NLL over weighted positions (perplexity is exp of the reduced NLL)."""
    total = weights.sum()
    return {"accuracy": ((hits * weights).sum(), total), "nll": (-(logps.detach() * weights).sum(), total)}
