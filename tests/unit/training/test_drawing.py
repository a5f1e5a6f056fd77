"""Dynamic sampling: which groups are left out, which prompts come instead, and that several processes agree on it."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.errors import ConfigError, RunError
from medicalgpt.rewards.answers import Answer, Group, PromptRow
from medicalgpt.rewards.sources import Scores
from medicalgpt.training.rl.drawing import Draw, Drawer, spread
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.rl.rollout import Rollouts

PROMPTS = 10
ALONE = ProcessGroup(0, 1, torch.device("cpu"))


def row(number: int) -> PromptRow:
    return PromptRow(Dialogue((Message("user", "Fever?"),), Source("a.jsonl", number)), (5, 6), None)


@dataclass
class Sampler:
    """Answers a prompt with its line, its place in the update, and the number of the answer."""

    text: str = "yes"
    asked: list[tuple[list[int], int]] = field(default_factory=list)

    def sample(self, rows: Sequence[PromptRow], first: int, update: int) -> Rollouts:
        if rows:  # a process without a prompt comes as well: the policy may have to be put together
            self.asked.append(([r.source.row for r in rows], first))
        groups = [
            Group(r, [Answer((r.source.row, first + i, j), self.text, True) for j in range(2)])
            for i, r in enumerate(rows)
        ]
        return Rollouts(groups, 6 * len(rows), 0.5)


def differ(*lines: int) -> Any:
    """Rewards in which only the answers to the prompts of these lines differ."""

    def score(groups: Sequence[Group]) -> Scores:
        found = np.asarray([float(a.ids[2] * (g.row.source.row in lines)) for g in groups for a in g.answers])
        return Scores(found, found - 1, {"one": found})

    return score


def drawer(rewards: Any, *overrides: str, world: Any = ALONE, sampler: Any = None) -> Drawer:
    words = ["data.train=[a]", "output_dir=x", "reward.model=rm", "rollout.prompts=4", "rollout.completions=2"]
    config = load(stage_schema("grpo"), None, [*words, *overrides]).value
    return Drawer(config, sampler or Sampler(), rewards, [row(i) for i in range(PROMPTS)], world)


def lines(found: Draw) -> list[int]:
    return [g.row.source.row for g in found.groups]


def order(count: int, seed: int = 42) -> list[int]:
    """The lines in the order they are asked."""
    d = drawer(differ(), f"train.seed={seed}")
    return [r.source.row for r in d.prompts(0, count)]


def test_a_pass_asks_every_prompt_once_and_the_next_one_in_another_order() -> None:
    found = order(3 * PROMPTS)
    passes = [found[i * PROMPTS : (i + 1) * PROMPTS] for i in range(3)]
    assert all(sorted(one) == list(range(PROMPTS)) for one in passes)
    assert passes[0] != passes[1] != passes[2]


def test_without_dynamic_sampling_all_answers_are_learned_from() -> None:
    found = drawer(differ()).draw(0, 0)
    assert lines(found) == order(4)
    assert (found.total, found.prompts, found.owned, found.without_spread) == (4, 4, [0, 1, 2, 3], 0)


def test_groups_without_spread_are_dropped() -> None:
    asked = order(4)
    found = drawer(differ(asked[1], asked[3]), "rollout.dynamic_sampling=drop").draw(0, 0)
    assert lines(found) == [asked[1], asked[3]]
    assert (found.total, found.prompts, found.owned, found.without_spread) == (2, 4, [0, 1], 2)
    assert found.scores.score.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert found.scores.total.tolist() == [-1.0, 0.0, -1.0, 0.0]
    assert found.scores.parts["one"].tolist() == [0.0, 1.0, 0.0, 1.0]
    # Metrics of what the policy says are those of all answers.
    assert (len(found.every), found.score, found.tokens) == (4, 2.0, 24)


def test_they_are_refilled_by_the_next_prompts_in_order() -> None:
    asked, sampler = order(9), Sampler()
    good = [asked[0], asked[2], asked[5], asked[7]]
    d = drawer(differ(*good), "rollout.dynamic_sampling=refill", sampler=sampler)
    found = d.draw(0, 0)
    assert lines(found) == good
    # Four, then two for the two that fell out, then one, then one; a place in the update is never given twice.
    assert sampler.asked == [(asked[:4], 0), (asked[4:6], 4), (asked[6:7], 6), (asked[7:8], 7)]
    assert (found.total, found.prompts, found.without_spread, found.owned) == (4, 8, 4, [0, 1, 2, 3])
    # The next update goes on behind the last prompt that was asked.
    assert d.draw(1, found.prompts).every[0].row.source.row == asked[8]


@pytest.mark.parametrize("rounds", [1, 5])
def test_refilling_is_bounded(rounds: int) -> None:
    sampler = Sampler()
    d = drawer(differ(), "rollout.dynamic_sampling=refill", f"rollout.refills={rounds}", sampler=sampler)
    found = d.draw(0, 0)
    assert len(sampler.asked) == 1 + rounds
    assert (found.total, found.groups, found.owned) == (0, [], [])
    assert found.without_spread == found.prompts == 4 * (1 + rounds)
    assert len(found.scores.score) == 0


def test_answers_that_say_nothing_still_stop_the_run() -> None:
    with pytest.raises(RunError, match="all 8 answers are empty"):
        drawer(differ(), "rollout.dynamic_sampling=refill", sampler=Sampler(text=" ")).draw(0, 0)


class Ranks:
    """Processes that are threads, which hand each other their values."""

    def __init__(self, size: int) -> None:
        self.size, self.values, self.barrier = size, [None] * size, threading.Barrier(size, timeout=20)

    def rank(self, number: int) -> Any:
        shared = self

        class World(ProcessGroup):
            def gather(self, value: Any) -> list[Any]:
                shared.values[number] = value
                shared.barrier.wait()
                found = list(shared.values)
                shared.barrier.wait()
                return found

        return World(number, self.size, torch.device("cpu"))


@pytest.mark.parametrize("mode", ["drop", "refill"])
def test_two_processes_draw_what_one_draws(mode: str) -> None:
    """Also in rounds in which one of them has nothing to ask."""
    asked = order(9)
    rewards = differ(asked[0], asked[2], asked[5], asked[7])
    alone, ranks = drawer(rewards, f"rollout.dynamic_sampling={mode}").draw(0, 0), Ranks(2)
    with ThreadPoolExecutor(2) as pool:
        drawers = [drawer(rewards, f"rollout.dynamic_sampling={mode}", world=ranks.rank(i)) for i in range(2)]
        parts = list(pool.map(lambda d: d.draw(0, 0), drawers))
    assert {(p.total, p.prompts) for p in parts} == {(alone.total, alone.prompts)}
    together = {number: g for p in parts for number, g in zip(p.owned, p.groups, strict=True)}
    assert [together[i] for i in sorted(together)] == alone.groups
    assert sum(p.tokens for p in parts) == alone.tokens
    assert sum(p.score for p in parts) == alone.score


@pytest.mark.parametrize(
    ("rewards", "different"),
    [
        ([0.0, 0.0, 0.0], False),
        ([1.0, 1.0, 1.0 + 1e-9], False),  # rounding of a reward model
        ([5000.0, 5000.001, 5000.0], False),
        ([0.0, 0.0, 1e-3], True),
        ([-1.0, 1.0, 0.0], True),
    ],
)
def test_which_answers_differ(rewards: list[float], different: bool) -> None:
    assert spread(np.asarray([rewards, rewards])).tolist() == [different] * 2


@pytest.mark.parametrize(
    ("stage", "words", "said"),
    [
        ("ppo", ["rollout.dynamic_sampling=drop"], "for stages that compare the answers to one prompt"),
        ("grpo", ["rollout.refills=5"], "rollout.refills=5 does nothing without rollout.dynamic_sampling=refill"),
        ("grpo", ["rollout.dynamic_sampling=drop", "rollout.refills=5"], "does nothing without"),
        ("grpo", ["rollout.dynamic_sampling=all"], "drop | refill"),
        ("grpo", ["rollout.dynamic_sampling=refill", "rollout.refills=65"], "rollout.refills"),
    ],
)
def test_settings_that_do_nothing_are_refused(stage: str, words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(stage_schema(stage), None, ["data.train=[a]", "output_dir=x", "reward.model=rm", *words])
    assert said in str(caught.value)
