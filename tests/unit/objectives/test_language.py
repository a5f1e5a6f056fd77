"""Next-token objectives by numbers worked out by hand."""

import math
from typing import Any

import pytest
import torch

from medicalgpt.config.stages import PtConfig, SftConfig
from medicalgpt.objectives.base import Objective, token_metrics
from medicalgpt.objectives.language import Pretraining, SupervisedFineTuning


class Batch:
    weights = torch.tensor([1.0, 0.5, 1.0])


class Halves:
    """Gives the three targets probability 1/2, 1/4 and 1/8; only the first is the most likely token."""

    values = torch.log(torch.tensor([0.5, 0.25, 0.125]))

    def logps(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        raise AssertionError("weights are known, so the head needs one pass")

    def nll(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return -(self.values * batch.weights).sum(), self.values, torch.tensor([True, False, False])


@pytest.mark.parametrize("objective", [Pretraining(), SupervisedFineTuning()])
def test_loss_is_a_weighted_sum_over_a_weighted_count(objective: Objective) -> None:
    out = objective.loss(Halves(), Batch())
    # (1·1 + 0.5·2 + 1·3)·ln 2 over 1 + 0.5 + 1
    assert out.sum.item() == pytest.approx(5 * math.log(2))
    assert (out.count.item(), out.unit) == (2.5, "token")
    assert objective.count(Batch()).item() == out.count.item()
    hits, tokens = out.metrics["accuracy"]
    assert (float(hits), float(tokens)) == (1.0, 2.5)
    nll, tokens = out.metrics["nll"]
    assert float(nll / tokens) == pytest.approx(2 * math.log(2))


def test_needs_are_facts() -> None:
    assert (PtConfig.kind, SftConfig.kind) == ("document", "dialogue")
    assert not Pretraining.needs.reference
    assert not SupervisedFineTuning.needs.reference


def test_metrics_carry_no_gradient() -> None:
    logps = torch.zeros(2, requires_grad=True)
    found = token_metrics(logps, torch.tensor([True, True]), torch.ones(2))
    assert not any(t.requires_grad for pair in found.values() for t in pair)


def test_no_positions_count_nothing() -> None:
    class Empty:
        weights = torch.empty(0)

    class Silent(Halves):
        values = torch.empty(0)

        def nll(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            return torch.zeros(()), self.values, torch.empty(0, dtype=torch.bool)

    out = SupervisedFineTuning().loss(Silent(), Empty())
    assert (out.sum.item(), out.count.item()) == (0.0, 0.0)
