"""Bradley–Terry by numbers worked out by hand."""

import math
from typing import Any

import pytest
import torch
from tests.unit.objectives.test_dpo import mean, two_pairs

from medicalgpt.objectives.reward import RewardModeling, bradley_terry_loss


class Scores:
    """A reward model with given scores: chosen, rejected, chosen, rejected."""

    def __init__(self, *scores: float) -> None:
        self.values = torch.tensor(scores, requires_grad=True)

    def scores(self, batch: Any) -> torch.Tensor:
        return self.values


def per_pair(chosen: float, rejected: float, **more: float) -> float:
    return float(bradley_terry_loss(torch.tensor([chosen]), torch.tensor([rejected]), **more))


def test_equal_scores_cost_ln_2() -> None:
    assert per_pair(1.5, 1.5) == pytest.approx(math.log(2))


def test_ranking() -> None:
    # σ(ln 3) = 3/4: −ln ¾ on the right side, −ln ¼ on the wrong one.
    assert per_pair(math.log(3), 0.0) == pytest.approx(math.log(4 / 3))
    assert per_pair(0.0, math.log(3)) == pytest.approx(math.log(4))


def test_margin_moves_the_goal() -> None:
    assert per_pair(1.0, 0.0, margin=1.0) == pytest.approx(math.log(2))


def test_label_smoothing_is_a_mix_of_both_orders() -> None:
    # 0.8·ln(4/3) + 0.2·ln 4
    assert per_pair(math.log(3), 0.0, label_smoothing=0.2) == pytest.approx(0.8 * math.log(4 / 3) + 0.2 * math.log(4))


def test_centre_costs_the_squared_sum_only() -> None:
    assert per_pair(2.0, 2.0, center=0.1) == pytest.approx(math.log(2) + 0.1 * 16)
    assert per_pair(2.0, -2.0, center=0.1) == pytest.approx(per_pair(2.0, -2.0))


def test_a_batch_of_two_pairs() -> None:
    policy: Any = Scores(math.log(3), 0.0, 0.0, math.log(3))
    out = RewardModeling().loss(policy, two_pairs())
    assert float(out.sum.detach()) == pytest.approx(math.log(4 / 3) + math.log(4))
    assert (float(out.count), out.unit) == (2.0, "pair")
    assert mean(out, "rewards/accuracy") == 0.5
    assert mean(out, "rewards/margin") == pytest.approx(0.0)
    out.sum.backward()
    # dL/ds_c = −σ(−d): −¼ and −¾.
    torch.testing.assert_close(policy.values.grad, torch.tensor([-0.25, 0.25, -0.75, 0.75]))
