"""Held-out answers: means, intervals, and the gain over the start, prompt by prompt."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.rewards.test_rl_rewards import group

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.rewards.answers import Answer, Group
from medicalgpt.rewards.sources import Scores
from medicalgpt.runs.intervals import share
from medicalgpt.training.publish import measured_rows, with_intervals
from medicalgpt.training.rl.heldout import HeldOut
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.rl.rollout import Rollouts

NOW = Scores(np.asarray([1.0, 3.0, 2.0, 2.0]), np.asarray([0.0, 3.0, 2.0, 1.0]))
START = [[0.0, -1.0], [2.0, 1.0], [1.0, 0.0], [1.0, -1.0]]


def held_out(score: Any) -> HeldOut:
    row = group().row
    groups = [Group(row, [Answer((8,) * n, "Rest.", n < 4)]) for n in (4, 2, 3, 3)]
    seen = SimpleNamespace(kl=torch.tensor([0.0, 1.0, 1.0, 2.0]))
    world = ProcessGroup(0, 1, torch.device("cpu"))
    return HeldOut([row] * 4, lambda rows: Rollouts(groups, 12, 1.0), lambda groups: seen, score, [], world)  # type: ignore[arg-type,return-value]


def test_score_and_reward_have_a_gain_with_an_interval() -> None:
    held = held_out(lambda groups: NOW)
    found = held.evaluate(None, 64, START)  # type: ignore[arg-type]
    means = {"score": 2.0, "reward": 1.5, "kl": 1.0, "length": 3.0, "stop_rate": 0.75}
    assert {n: found[f"eval/{n}"] for n in means} == pytest.approx(means)
    assert 0.25 <= found["eval/kl_low"] < 1.0 < found["eval/kl_high"] <= 1.75  # of 0, 1, 1 and 2
    assert held.scores.tolist() == [[1.0, 0.0], [3.0, 3.0], [2.0, 2.0], [2.0, 1.0]]
    # Every score rose by 1, so there is nothing to be unsure of; the rewards rose by 1, 2, 2 and 2.
    assert [found[f"eval/score_gain{e}"] for e in ("", "_low", "_high")] == pytest.approx([1.0, 1.0, 1.0])
    assert found["eval/reward_gain"] == pytest.approx(1.75)
    assert 1.0 <= found["eval/reward_gain_low"] < 1.75 < found["eval/reward_gain_high"] <= 2.0
    for name, values in (("score", NOW.score), ("reward", NOW.total)):
        assert values.min() <= found[f"eval/{name}_low"] < means[name] < found[f"eval/{name}_high"] <= values.max()


def test_no_gain_is_named_without_a_start_and_no_score_without_a_reward() -> None:
    fresh = held_out(lambda groups: NOW).evaluate(None, 64)  # type: ignore[arg-type]
    assert "eval/score_low" in fresh
    assert not [name for name in fresh if "gain" in name]
    assert sorted(held_out(None).evaluate(None, 64)) == [  # type: ignore[arg-type]
        "eval/kl",
        "eval/kl_high",
        "eval/kl_low",
        "eval/length",
        "eval/stop_rate",
    ]


def test_several_rewards_are_named_apart_with_intervals() -> None:
    parts = {"choice_letter": np.asarray([1.0, 0.0, 1.0, 1.0]), "/home/me/mine.py:f": np.asarray([0.5, 0.2, 0.1, 0.4])}
    found = held_out(lambda groups: Scores(NOW.score, NOW.total, parts, 1)).evaluate(None, 64)  # type: ignore[arg-type]
    assert found["eval/parts/choice_letter"] == 0.75
    wilson = share(3, 4)  # right or wrong
    assert [found[f"eval/parts/choice_letter{e}"] for e in ("_low", "_high")] == [wilson.low, wilson.high]
    assert found["eval/parts/mine.py:f"] == pytest.approx(0.3)
    assert 0.1 <= found["eval/parts/mine.py:f_low"] < 0.3 < found["eval/parts/mine.py:f_high"] <= 0.5
    assert found["eval/ungraded"] == 0.25


def test_a_single_reward_is_the_score() -> None:
    one = Scores(NOW.score, NOW.total, {"choice_letter": NOW.score})
    found = held_out(lambda groups: one).evaluate(None, 64)  # type: ignore[arg-type]
    assert not [name for name in found if "parts" in name or "ungraded" in name]


@pytest.mark.parametrize(("stage", "held_out", "rows"), [("grpo", 91, 8), ("grpo", 5, 5), ("sft", 91, 91)])
def test_intervals_rest_on_the_prompts_that_were_answered(stage: str, held_out: int, rows: int) -> None:
    words = ["train.eval_prompts=8", "reward.functions=[{name: choice_letter}]"] if stage == "grpo" else []
    config = load(stage_schema(stage), None, ["output_dir=x", "data.train=[x.jsonl]", *words]).value
    assert measured_rows(config, held_out) == rows
    found = with_intervals({"eval/stop_rate": 0.5}, rows)
    wilson = share(0.5 * rows, rows)
    assert (found["eval/rows"], found["eval/stop_rate_low"], found["eval/stop_rate_high"]) == (
        rows,
        wilson.low,
        wilson.high,
    )
