"""Distillation on the data's own answers: which prompts get them, what they are as tokens, and that drawn ones stay what they were."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.tiny import tiny_tokenizer

from medicalgpt.config.loader import load
from medicalgpt.config.rl import RolloutConfig
from medicalgpt.config.stages import DistillConfig
from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.errors import ConfigError
from medicalgpt.generate.prompts import prepare
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rewards.answers import PromptRow
from medicalgpt.training.rl.data_answers import DataAnswers, data_answers
from medicalgpt.training.rl.rollout import RolloutSampler


def template() -> ChatTemplate:
    return ChatTemplate.load(tiny_tokenizer(), None)


def prompt(number: int, reference: str | None) -> PromptRow:
    turns = (Message("user", f"What helps with fever {number}?"),)
    dialogue = Dialogue(turns, Source("rows.jsonl", number))
    return PromptRow(dialogue, tuple(prepare(dialogue, template(), 64, 8).ids), reference)


def found(rows: Sequence[PromptRow], most: int = 32, on_policy: float = 0.5) -> DataAnswers:
    return data_answers(rows, template(), on_policy, 7, (64, most), template().stop_ids)


class Engine:
    """Answers with the place at which it was asked."""

    stop_ids = (0,)
    backend = None

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def complete(self, ids: list[list[int]], sampling: Any, n: int, batch_size: int, first_index: int) -> Any:
        self.asked += [tuple(one) for one in ids]
        return [[[100 + first_index + at] for _ in range(n)] for at in range(len(ids))]

    def text(self, ids: Sequence[int]) -> str:
        return str(list(ids))


def test_an_answer_is_what_the_model_would_have_drawn() -> None:
    row = prompt(1, "Drink enough.")
    answer = found([row]).answer(row)
    tokenizer = tiny_tokenizer()
    assert tokenizer.decode(answer.ids) == "Drink enough.<|im_end|>"
    assert tokenizer.decode([*row.ids, *answer.ids]).endswith("<|im_start|>assistant\nDrink enough.<|im_end|>")
    assert answer.stopped
    assert answer.text == "Drink enough."
    short = found([row], most=2).answer(row)
    assert (short.ids, short.stopped) == (answer.ids[:2], False)


def test_a_prompt_without_an_answer_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"2 of 3 training prompts have none that follows them, the first at rows\.jsonl:2"
    ):
        found([prompt(1, "Drink."), prompt(2, None), prompt(3, "")])


@pytest.mark.parametrize("on_policy", [0.0, 0.25, 1.0])
def test_the_share_is_kept(on_policy: float) -> None:
    chosen = DataAnswers(on_policy, 7, {})
    taken = [chosen.takes(update, place) for update in range(50) for place in range(16)]
    assert sum(taken) / len(taken) == pytest.approx(1 - on_policy, abs=0.05)
    assert chosen.taken_before(3, 9) == sum(chosen.takes(3, place) for place in range(9))
    assert taken == [chosen.takes(update, place) for update in range(50) for place in range(16)]


def test_two_processes_ask_for_what_one_does() -> None:
    """Answers depend on the place among those that are drawn, so that process by process nothing is drawn twice or otherwise."""
    rows = [prompt(i, f"Answer {i}.") for i in range(12)]
    config = RolloutConfig(prompts=12, completions=2)

    def answers(parts: Sequence[slice]) -> tuple[list[Any], list[tuple[int, ...]]]:
        sampler = RolloutSampler(Engine(), config, 1)  # type: ignore[arg-type]  # a stand-in
        sampler.data = found(rows)
        rolled = [sampler.sample(rows[part], part.start, 3) for part in parts]
        groups = [group for one in rolled for group in one.groups]
        assert sum(one.tokens for one in rolled) == 2 * len(sampler.engine.asked)  # type: ignore[attr-defined]
        return [[a.ids for a in group.answers] for group in groups], sampler.engine.asked  # type: ignore[attr-defined]

    alone, asked = answers([slice(0, 12)])
    assert (alone, asked) == answers([slice(0, 5), slice(5, 12)])
    data = found(rows)
    taken = [data.takes(3, place) for place in range(12)]
    assert any(taken)
    assert not all(taken)
    assert asked == [row.ids for row, is_taken in zip(rows, taken) if not is_taken]
    drawn = iter(range(100, 200))
    for row, is_taken, got in zip(rows, taken, alone):
        assert got == ([data.answer(row).ids] * 2 if is_taken else [(next(drawn),)] * 2)


def test_not_with_servers() -> None:
    words = ["data.train=x.jsonl", "output_dir=run", "objective.teacher=t", "objective.on_policy=0.5"]
    with pytest.raises(ConfigError, match=r"use rollout\.backend=own"):
        load(DistillConfig, None, [*words, "rollout.backend=vllm", "rollout.servers=[http://localhost:8000]"])
