"""What the distributed wrapper sees: one module whose forward pass is one objective on one batch."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import nn

from medicalgpt.kernels.ulysses import Peers
from medicalgpt.models.adapters import adapter_off
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.models.shard import Sharding
from medicalgpt.rendering.batch import TreeBatch
from medicalgpt.training.stages import StageObjective

T = TypeVar("T")


class StageModule(nn.Module):
    """A policy, an objective and, when the objective needs one, a reference.

    The reference is the policy's own base with the adapter off, a second frozen policy, or values cached in the batch.
    """

    def __init__(
        self,
        policy: CausalPolicy | RewardPolicy,
        objective: StageObjective,
        reference: CausalPolicy | None = None,
    ) -> None:
        super().__init__()
        self.policy = policy
        self.objective = objective
        # A tuple hides the frozen model from parameters(), state dicts and gradient synchronization.
        self._reference = (reference,)
        self.sharding: Sharding | None = None

    def divide(self, sharding: Sharding, widen: torch.dtype | None = None) -> None:
        """Leave this process its part of the policy, widened as in `Sharding.divide`. Every process must then make the same calls."""
        self.sharding = sharding
        sharding.divide(self, self.policy.model, "within", "baseline", widen=widen)
        # transformers.Trainer then neither moves nor wraps it.
        self.is_distributed_loading_by_transformers = True

    def compare_with(self, reference: CausalPolicy) -> None:
        """Take a second, frozen model as the reference."""
        reference.peers = self.policy.peers
        self._reference = (reference,)

    def share_rows(self, peers: Peers) -> None:
        """Compute a part of every row, the peers the others. All of them must then make the same calls."""
        self.policy.peers = peers

    def within(self, work: Callable[[], T]) -> T:
        """Do `work` as a forward pass: where the policy is sharded, what it reads of the weights is there inside."""
        return work()

    def trial(self, forward: Callable[[], torch.Tensor]) -> torch.Tensor:
        """A forward pass of a probe, of which a backward pass may follow: a copy, as FSDP cannot tell what becomes of a view."""
        return self.within(lambda: forward().clone())

    def forward(self, batch: TreeBatch) -> dict[str, Any]:
        """Sum and count of the loss and of every metric."""
        out = self.objective.loss(self.policy, self._with_reference(batch))
        return {"sum": out.sum, "count": out.count, "metrics": out.metrics}

    @torch.no_grad()
    def baseline(self, batch: TreeBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum and count of the objective's baseline on the batch's mismatched rows."""
        if batch.mismatched is None:
            raise ValueError("the batch has no mismatched rows to estimate the baseline on")
        return self.objective.baseline(self.policy, self._with_reference(batch.mismatched))

    def _with_reference(self, batch: TreeBatch) -> TreeBatch:
        """The batch with log π_ref where the objective needs it; the caller's batch keeps none that was computed here."""
        if not self.objective.needs.reference:
            return batch
        return replace(batch, reference=self.reference_logps(batch))

    @torch.no_grad()
    def reference_logps(self, batch: TreeBatch) -> torch.Tensor:
        """log π_ref [N] at the batch's weighted positions."""
        if batch.reference is not None:
            return batch.reference
        (reference,) = self._reference
        if reference is not None:
            return reference.passes.run(lambda: reference.logps(batch)[0])
        if isinstance(self.policy, RewardPolicy):
            raise ValueError("a reward model has no log-probabilities")
        training = self.policy.training
        self.policy.eval()
        try:
            with adapter_off(self.policy.model):
                return self.policy.logps(batch)[0]
        finally:
            self.policy.train(training)
