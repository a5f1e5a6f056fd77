"""The report on a reward model, by hand and against its own warnings."""

import math

import numpy as np
import pytest

from medicalgpt.rewards.reward_model import evaluate
from medicalgpt.runs.reward_report import lines


def test_numbers_by_hand() -> None:
    scores = np.array([[2.0, 1.0], [0.0, 1.0], [1.0, 1.0], [3.0, 0.0]])
    lengths = np.array([[5, 3], [3, 5], [4, 4], [2, 6]])
    found = evaluate(scores, lengths)
    # Right, wrong, tie, right: 2.5 of 4. Margins 1, −1, 0, 3.
    assert found.accuracy.value == pytest.approx(2.5 / 4)
    assert found.margin.value == pytest.approx(0.75)
    assert (found.mean, found.std) == pytest.approx((9 / 8, float(scores.std())))
    # Chosen longer once, shorter twice, equal once.
    assert found.length_accuracy == pytest.approx(1.5 / 4)
    assert {k: (v.value, v.rows) for k, v in found.by_length.items()} == {
        "chosen shorter": (0.5, 2),
        "same length": (0.5, 1),
        "chosen longer": (1.0, 1),
    }


def test_calibration_error_by_hand() -> None:
    # σ(1) = 0.731 lies in the bin [0.7, 0.8): of its two pairs one is right, so the gap is 0.231.
    scores = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = evaluate(scores, np.array([[1, 1], [1, 1]]))
    assert found.calibration_error == pytest.approx(1 / (1 + math.exp(-1)) - 0.5)


def test_a_model_that_is_no_better_than_a_coin_is_called_out() -> None:
    rng = np.random.default_rng(0)
    found = evaluate(rng.normal(size=(40, 2)), rng.integers(1, 50, (40, 2)))
    assert any("not better than a coin" in w for w in found.warnings)
    assert any("not better than a coin" in line for line in lines(found))


def test_a_model_that_likes_length_is_called_out_and_a_good_one_is_not() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 50, (40, 2))
    assert any("reward length" in w for w in evaluate(lengths * 0.1, lengths).warnings)
    good = evaluate(np.stack([rng.normal(2, 1, 40), rng.normal(-2, 1, 40)], 1), lengths)
    assert good.accuracy.low > 0.5
    assert good.warnings == []
