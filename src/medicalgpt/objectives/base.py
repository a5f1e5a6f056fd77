"""The contract between an objective and the trainers.

A new objective is one file: a pure tensor function plus a class that names its needs as data. Losses are returned as a
sum and a count of the objective's own unit; the trainer divides by the global count over accumulation steps and ranks,
so batch size, packing and world size never change the loss.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, Protocol, TypeVar

import torch

Metrics = dict[str, tuple[torch.Tensor, torch.Tensor]]
"""(sum, count) by name; both are added up over batches and processes before they are divided."""

Compare = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From log-probabilities [n, V] of policy and teacher to one number a position [n]."""


@dataclass(frozen=True)
class Needs:
    """What the trainer prepares for an objective beside the batch.

    `reference`: log-probabilities of a frozen reference in `batch.reference`; the stage's config says where they come
    from. `baseline`: the mean of `Objective.baseline` over the optimizer step in `batch.baseline`.
    """

    reference: bool = False
    baseline: bool = False


@dataclass(frozen=True)
class RolloutTargets:
    """What an update learns from, for every sampled token [N]. None where the stage has no such thing.

    `old` are log-probabilities under the policy that sampled, `old_values` the critic's values at that time, `returns`
    what the critic is fitted to. `counted`: 1, or 0 for tokens that carry no loss; None: all do. `mean_length`: counted tokens of
    an answer, mean over all answers of the update.
    """

    old: torch.Tensor
    advantages: torch.Tensor | None = None
    old_values: torch.Tensor | None = None
    returns: torch.Tensor | None = None
    counted: torch.Tensor | None = None
    mean_length: float | None = None

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "RolloutTargets":
        """`change` applied to every tensor."""

        def optional(value: torch.Tensor | None) -> torch.Tensor | None:
            return None if value is None else change(value)

        return RolloutTargets(
            change(self.old),
            optional(self.advantages),
            optional(self.old_values),
            optional(self.returns),
            optional(self.counted),
            self.mean_length,
        )


class Batch(Protocol):
    """What an objective may read of a batch of S trees with N weighted positions.

    `weights` and `targets` [N] belong to the positions; `segment` [N] is the number, below `segments`, of the segment
    (prompt or answer) that each lies in. `leaves` [S, k] holds the segment numbers of each tree's k answers; in a pair
    the chosen one comes first. `desirable` [S] holds the verdicts of feedback trees.
    """

    @property
    def weights(self) -> torch.Tensor: ...
    @property
    def targets(self) -> torch.Tensor: ...
    @property
    def segment(self) -> torch.Tensor: ...
    @property
    def segments(self) -> int: ...
    @property
    def leaves(self) -> torch.Tensor: ...
    @property
    def desirable(self) -> torch.Tensor: ...
    @property
    def reference(self) -> torch.Tensor | None:
        """log π_ref [N] with `Needs.reference`, and on sampled answers."""
        ...

    @property
    def baseline(self) -> torch.Tensor | None:
        """Mean [scalar] of `Objective.baseline` over the optimizer step, with `Needs.baseline`."""
        ...

    @property
    def rollout(self) -> RolloutTargets | None:
        """What is known of sampled answers; None on rows from files."""
        ...


B = TypeVar("B", bound=Batch)
B_contra = TypeVar("B_contra", bound=Batch, contravariant=True)
P_contra = TypeVar("P_contra", contravariant=True)


class LanguagePolicy(Protocol[B_contra]):
    """A language model. Tensors are aligned with the batch's N weighted positions."""

    def logps(self, batch: B_contra) -> tuple[torch.Tensor, torch.Tensor]:
        """log p(target) [N] with gradient, and whether the target was the most likely token [N]."""
        ...

    def nll(self, batch: B_contra) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Σ −weights·log p(target) with gradient, log p(target) [N] and hits [N] without."""
        ...

    def distribution(self, batch: B_contra) -> tuple[torch.Tensor, torch.Tensor]:
        """log p(target) [N] and the entropy of the distribution it was drawn from [N] in nats, both with gradient."""
        ...


class Student(Protocol[B_contra]):
    """A language model that has a teacher."""

    def against_teacher(self, batch: B_contra, compare: Compare) -> torch.Tensor:
        """`compare` [N] of the policy's and the teacher's distributions, with gradient."""
        ...


class Scorer(Protocol[B_contra]):
    """A reward model."""

    def scores(self, batch: B_contra) -> torch.Tensor:
        """One score per leaf of the batch's trees, tree by tree, with gradient."""
        ...


class Critic(Protocol[B_contra]):
    """A model of what an answer will be worth."""

    def values(self, batch: B_contra) -> torch.Tensor:
        """The value [N] of the state in which each target is drawn, with gradient."""
        ...


@dataclass
class LossOut:
    """`sum` (scalar, with gradient) over `count` units; each metric is a (sum, count) pair reduced the same way."""

    sum: torch.Tensor
    count: torch.Tensor
    unit: Literal["token", "pair", "answer"]
    metrics: Metrics = field(default_factory=dict)


class Objective(ABC, Generic[P_contra, B]):
    """A training objective for policies of one protocol and batches of type `B`. Subclasses are final."""

    needs: ClassVar[Needs] = Needs()

    @abstractmethod
    def loss(self, policy: P_contra, batch: B) -> LossOut:
        """The loss of one batch."""

    @abstractmethod
    def count(self, batch: B) -> torch.Tensor:
        """How many units `loss` will count in this batch; known before the forward pass."""

    def baseline(self, policy: P_contra, mismatched: B) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum and count of what `loss` is measured against, on prompts with the answers of others (`Needs.baseline`).

        Asked without gradient for all batches of an optimizer step, over accumulation and ranks, before the first loss of
        the step; `loss` finds the mean in `batch.baseline`. In evaluation the whole held-out set is the step.
        """
        raise NotImplementedError(f"{type(self).__name__} has no baseline")

    def advantages(self, scores: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor | None:
        """Advantage of every sampled answer [G, n] from its score [G, n]; None for objectives that use no such thing.

        `penalty` [G, n] is β times the KL to the reference, summed over the answer's tokens.
        """
        return None

    def advice(self, desirable: int, undesirable: int) -> str | None:
        """What to tell the user about the numbers of desirable and undesirable rows of feedback data; None: nothing."""
        return None


class TokenObjective(Objective[P_contra, B]):
    """An objective whose unit is the weighted token."""

    def count(self, batch: B) -> torch.Tensor:
        return batch.weights.sum()


class PairObjective(Objective[P_contra, B]):
    """An objective on preference trees: the prompt once, the chosen branch first, the rejected branch second."""

    def count(self, batch: B) -> torch.Tensor:
        return batch.weights.new_tensor(float(batch.leaves.reshape(-1, 2).shape[0]))


def given(value: torch.Tensor | None, who: str, what: str) -> torch.Tensor:
    """The tensor; raises ValueError where the batch does not have what an objective needs."""
    if value is None:
        raise ValueError(f"{who} needs {what}")
    return value


def rollout_of(batch: Batch, who: str) -> RolloutTargets:
    """The batch's rollout targets; raises ValueError for a batch that was not sampled."""
    if batch.rollout is None:
        raise ValueError(f"{who} needs sampled answers with their old log-probabilities")
    return batch.rollout


def share_above_zero(gap: torch.Tensor) -> torch.Tensor:
    """How many gaps [P] are above 0, summed; a tie is neither right nor wrong and counts one half."""
    return (gap > 0).sum() + 0.5 * (gap == 0).sum()


def token_metrics(logps: torch.Tensor, hits: torch.Tensor, weights: torch.Tensor) -> Metrics:
    """Next-token accuracy and token NLL over weighted positions (perplexity is exp of the reduced NLL)."""
    total = weights.sum()
    return {"accuracy": ((hits * weights).sum(), total), "nll": (-(logps.detach() * weights).sum(), total)}
