"""When a run is halted, and what it is told to change; β that follows a target."""

import math

import pytest

from medicalgpt.config.rl import HealthConfig
from medicalgpt.training.rl.health import adapted, verdict

FIRST = {"eval/stop_rate": 0.9, "eval/answer_loss": 2.0, "eval/score": 0.1}
FINE = {
    "train/kl": 5.0,
    "train/entropy": 1.0,
    "eval/stop_rate": 0.8,
    "eval/answer_loss": 2.3,
    "eval/score": 0.5,
}
OFF = HealthConfig(max_kl=None, min_entropy=None, max_stop_rate_fall=None, max_answer_loss_rise=None)
BROKEN = [
    ({"train/kl": 201.0}, "KL to the reference is 201.0 nats per answer, above health.max_kl=200", "objective.beta"),
    ({"train/entropy": 0.01}, "entropy is 0.0100 nats per token, below health.min_entropy=0.02", "learning rate"),
    ({"eval/stop_rate": 0.45}, "the held-out stop rate fell from 90% to 45%", "reward.missing_stop_penalty"),
    ({"eval/answer_loss": 2.6}, "rose from 2.000 to 2.600 nats per token", "the reward is being gamed"),
]


def test_a_healthy_update_has_no_verdict() -> None:
    assert verdict(HealthConfig(), 3, FINE, FIRST) is None


@pytest.mark.parametrize(("change", "said", "advice"), BROKEN)
def test_every_limit_says_what_broke_it_and_what_to_change(change: dict[str, float], said: str, advice: str) -> None:
    found = verdict(HealthConfig(), 3, FINE | change, FIRST)
    assert found is not None
    assert found.startswith("update 3: ")
    assert said in found
    assert advice in found
    assert verdict(OFF, 3, FINE | change, FIRST) is None


def test_all_that_is_wrong_is_said_at_once() -> None:
    everything = FINE | {name: value for change, _, _ in BROKEN for name, value in change.items()}
    found = verdict(HealthConfig(), 3, everything, FIRST)
    assert found is not None
    assert all(said in found for _, said, _ in BROKEN)


def test_reference_answers_may_grow_less_likely_while_the_score_falls() -> None:
    """Then nothing is gamed; the policy is merely getting worse, which the score says by itself."""
    assert verdict(HealthConfig(), 3, FINE | {"eval/answer_loss": 9.0, "eval/score": 0.05}, FIRST) is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_halts_whatever_is_switched_off(value: float) -> None:
    found = verdict(OFF, 7, FINE | {"train/policy_loss": value}, FIRST)
    assert found is not None
    assert found.startswith("update 7: train/policy_loss not finite")


def test_without_held_out_numbers_only_the_update_is_judged() -> None:
    assert verdict(HealthConfig(), 1, {"train/kl": 1.0, "train/entropy": 1.0}, {}) is None


def test_beta_follows_its_target() -> None:
    # arXiv 1909.08593: β ← β·(1 + 0.1·clip(KL/target − 1, −0.2, 0.2)).
    assert adapted(0.5, kl=6.6, target=6.0) == pytest.approx(0.5 * 1.01)
    assert adapted(0.5, kl=60.0, target=6.0) == pytest.approx(0.5 * 1.02)
    assert adapted(0.5, kl=-3.0, target=6.0) == pytest.approx(0.5 * 0.98)
    assert adapted(0.5, kl=6.0, target=6.0) == 0.5
    assert adapted(0.5, kl=99.0, target=None) == 0.5
