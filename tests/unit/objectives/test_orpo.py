"""ORPO by numbers worked out by hand."""

import math

import pytest
import torch
from tests.unit.objectives.test_dpo import Says, mean, two_pairs

from medicalgpt.objectives.orpo import OddsRatioPreference, log_odds_ratio


def ratio(chosen: float, rejected: float) -> float:
    return float(log_odds_ratio(torch.tensor([chosen]), torch.tensor([rejected])))


def test_log_odds_ratio() -> None:
    # Probabilities 0.8 and 0.2 have odds 4 and 1/4: ln 16.
    assert ratio(math.log(0.8), math.log(0.2)) == pytest.approx(math.log(16), abs=1e-6)
    assert ratio(math.log(0.2), math.log(0.8)) == pytest.approx(-math.log(16), abs=1e-6)
    assert ratio(-1.3, -1.3) == 0.0


def test_certain_answers_keep_finite_odds_and_gradients() -> None:
    chosen = torch.tensor([0.0, -1e-6], requires_grad=True)
    found = log_odds_ratio(chosen, torch.tensor([-200.0, -1e-6]))
    assert torch.isfinite(found).all()
    found.sum().backward()
    assert torch.isfinite(chosen.grad).all()  # type: ignore[arg-type]


def test_a_batch_of_two_pairs() -> None:
    half = math.log(0.5)
    # Means: pair 1 chosen (ln ½ + ln ½)/2 = ln ½, rejected ln ¼; odds 1 and 1/3, log ratio ln 3.
    #        pair 2 chosen ln ¼, rejected (ln ½ + ln ½)/2 = ln ½; log ratio −ln 3.
    policy = Says(half, half, 2 * half, 2 * half, half, half)
    out = OddsRatioPreference(weight=0.5).loss(policy, two_pairs())
    # NLL: ln 2 + 2·ln 2. Odds: −ln σ(ln 3) = −ln ¾ and −ln σ(−ln 3) = −ln ¼, halved by the weight.
    assert float(out.sum.detach()) == pytest.approx(3 * math.log(2) + 0.5 * (math.log(4 / 3) + math.log(4)), abs=1e-6)
    assert (float(out.count), out.unit) == (2.0, "pair")
    assert mean(out, "log_odds_ratio") == pytest.approx(0.0, abs=1e-6)
    assert mean(out, "rewards/accuracy") == 0.5
    assert mean(out, "sft_loss") == pytest.approx(1.5 * math.log(2))
    assert mean(out, "odds_loss") == pytest.approx((math.log(4 / 3) + math.log(4)) / 2, abs=1e-6)


def test_the_chosen_answer_is_pulled_up_and_the_rejected_one_pushed_down() -> None:
    policy = Says(-1.0, -1.0, -1.0, -1.0, -1.0, -1.0)
    OddsRatioPreference(weight=1.0).loss(policy, two_pairs()).sum.backward()
    grad = policy.values.grad
    assert grad is not None
    assert (grad[[0, 1, 3]] < 0).all()
    assert (grad[[2, 4, 5]] > 0).all()
