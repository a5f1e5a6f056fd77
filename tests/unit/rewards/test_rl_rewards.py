"""Rewards: where the reward model reads, how scores are put together, and what is refused."""

import numpy as np
import pytest
from tests.parity.test_reward import classifier
from trl.rewards import get_soft_overlong_punishment

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.rewards import RewardConfig, RewardFunction
from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.errors import ConfigError, RunError
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.rendering.tree import Segment, TokenTree
from medicalgpt.rewards.answers import Answer, Group, PromptRow
from medicalgpt.rewards.reward_model import score_trees
from medicalgpt.rewards.sources import Rewards

STOP = 2


def group() -> Group:
    """One answer that ended by itself, and one that was cut after four tokens, the longest allowed."""
    row = PromptRow(Dialogue((Message("user", "Fever?"),), Source("a.jsonl", 7)), (5, 6, 7), None)
    return Group(row, [Answer((8, 9, STOP), "Rest.", True), Answer((8, 9, 10, 11), "Rest and drink", False)])


def chain(ids: list[int]) -> TokenTree:
    prompt, answer = np.asarray([5, 6, 7], np.int32), np.asarray(ids, np.int32)
    parts = (Segment(prompt, np.zeros(3, np.float32)), Segment(answer, np.ones(len(ids), np.float32), 0))
    return TokenTree(parts, Source("a.jsonl", 7))


def test_an_answer_that_was_cut_is_scored_at_a_stop_token() -> None:
    model = RewardPolicy(classifier().eval(), "padded")
    wanted = np.concatenate(score_trees(model, [chain([8, 9, STOP]), chain([8, 9, 10, 11, STOP])]))
    config = RewardConfig(model="rm", normalize=False, clip=None, missing_stop_penalty=0)
    found = Rewards(config, 4, model, STOP)([group()])
    np.testing.assert_allclose(found.score, wanted, atol=1e-5)
    cut = np.concatenate(score_trees(model, [chain([8, 9, 10, 11])]))
    assert abs(cut[0] - wanted[1]) > 1e-3, "here the place where the score is read makes a difference"
    assert group().tree.segments[2].ids.tolist() == [8, 9, 10, 11], "what is learned from stays as it was sampled"


def test_scores_are_normalized_clipped_weighted_and_penalized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medicalgpt.rewards.sources.score_trees", lambda model, trees: [np.asarray([3.0, -9.0])])
    config = RewardConfig(model="rm", weight=2.0, clip=2.0, missing_stop_penalty=0.5, length_penalty=0.1)
    model = RewardPolicy(classifier().eval(), "padded")
    found = Rewards(config, 4, model, STOP, mean=1.0, std=2.0)([group()])
    # (3−1)/2 = 1 and (−9−1)/2 = −5, clipped to −2; times 2. The second pays ½ for no stop, and 0.1 · 4/4 for its length.
    np.testing.assert_allclose(found.score, [2.0, -4.0])
    np.testing.assert_allclose(found.total, [2.0 - 0.1 * 3 / 4, -4.0 - 0.5 - 0.1])


def test_a_cut_answer_can_be_given_a_fixed_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medicalgpt.rewards.sources.score_trees", lambda model, trees: [np.asarray([3.0, 9.0])])
    model = RewardPolicy(classifier().eval(), "padded")
    found = Rewards(RewardConfig(model="rm", missing_stop_score=-1.5, missing_stop_penalty=0.5), 4, model, STOP)(
        [group()]
    )
    np.testing.assert_allclose(found.score, [3.0, -1.5])
    np.testing.assert_allclose(found.total, [3.0, -2.0])
    np.testing.assert_allclose(found.parts["model"], [3.0, 5.0])  # clipped to 5, and reported as it was


def test_a_wrong_number_of_scores_names_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medicalgpt.rewards.sources.score_trees", lambda model, trees: [np.asarray([3.0])])
    model = RewardPolicy(classifier().eval(), "padded")
    with pytest.raises(RunError, match="1 scores for 2 answers") as refused:
        Rewards(RewardConfig(model="rm"), 4, model, STOP)([group()])
    assert "Rest" not in str(refused.value)


@pytest.mark.parametrize("buffer", [1, 3, 8])
def test_the_soft_overlong_punishment_is_that_of_trl(buffer: int) -> None:
    row = PromptRow(Dialogue((Message("user", "Fever?"),), Source("a.jsonl", 7)), (5, 6, 7), None)
    sizes = range(1, 9)
    said = Group(row, [Answer(tuple(range(n)), "Rest.", n < 8) for n in sizes])
    entry = RewardFunction(name="length", target=5)
    config = RewardConfig(functions=[entry], missing_stop_penalty=0, overlong_buffer=buffer, overlong_penalty=2.0)
    found = Rewards(config, 8, None, STOP)([said])
    theirs = get_soft_overlong_punishment(8, buffer)(completion_ids=[list(range(n)) for n in sizes])
    np.testing.assert_allclose(found.total - found.score, 2.0 * np.asarray(theirs), atol=1e-12)
    assert found.total[-1] == found.score[-1] - 2.0
    assert (found.score == 1.0).all()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("reward.overlong_buffer=129", "reward.overlong_buffer=129 is longer than rollout.max_new_tokens=128"),
        ("reward.overlong_penalty=0.5", "reward.overlong_penalty does nothing without reward.overlong_buffer"),
    ],
)
def test_an_overlong_buffer_that_cannot_be(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(stage_schema("grpo"), None, ["data.train=[a]", "output_dir=x", "reward.model=rm", override])
