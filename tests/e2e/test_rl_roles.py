"""Policy, reference, critic and reward model on one base: each says what it says alone, and one of them is published."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from rich.console import Console
from safetensors.torch import load_file
from tests.rl import Pieces, config, pieces, train, words
from tests.stages import Bench, column, probe_logps
from tests.tiny import save_tiny
from tests.zoo import save_member
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.sections import ModelConfig
from medicalgpt.data.records import Message
from medicalgpt.export.merge import merge_run
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.models.load import load
from medicalgpt.models.reward import RewardPolicy, probe_scores
from medicalgpt.rewards.reward_model import score_trees
from medicalgpt.runs import report
from medicalgpt.runs.reward_report import read_report

WAYS = {"lora": (), "full": ("lora.enabled=false",)}


def reward_run(bench: Bench, run: Path, *overrides: str) -> Path:
    """A reward model that tells its own pairs apart, as `medicalgpt train rm` leaves it."""
    pairs = bench.folder / "rm.jsonl"
    steps = ["train.max_steps=25", "train.learning_rate=3e-3", "data.eval_fraction=0", f"data.eval=[{pairs}]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "write", lambda folder, record: None)
        done = CliRunner().invoke(app, ["train", *bench.words("rm", run, *steps, *overrides)])
    assert done.exit_code == 0, done.output
    return run


@pytest.fixture(scope="module")
def scorer(_bench: Bench, _cache: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDICALGPT_CACHE", _cache)
        yield reward_run(_bench, tmp_path_factory.mktemp("rm") / "run", "lora.rank=4", "lora.alpha=12")


def alone(place: Path, p: Pieces) -> np.ndarray:
    """Scores of the same answers by the reward model on its own, as `medicalgpt score` computes them."""
    loaded = load(ModelConfig(base=str(place), dtype="float32"), head="score")
    policy = RewardPolicy(loaded.model, probe_scores(loaded.model).batching)
    return np.concatenate(score_trees(policy, p.seen.trees))


def with_model(bench: Bench, out: Path, place: Path, *overrides: str) -> Pieces:
    options = (f"reward.model={place}", "rollout.completions=3", *overrides)
    return pieces(config(bench, "ppo", out, *options))


@pytest.mark.parametrize("name", ["", "model", "merged"])
def test_a_reward_model_on_the_policys_base_scores_as_it_does_alone(
    bench: Bench, scorer: Path, tmp_path: Path, name: str
) -> None:
    p = with_model(bench, tmp_path / "run", scorer / name)
    reward = p.roles.reward
    assert reward is not None
    assert (reward.adapter, reward.model) == ("reward", p.roles.policy.model)
    assert p.roles.critic is not None
    assert p.roles.critic.model is p.roles.policy.model
    assert p.roles.reference is None
    found = np.concatenate(score_trees(reward, p.seen.trees))
    np.testing.assert_allclose(found, alone(scorer, p), atol=1e-5, rtol=1e-5)
    assert found.std() > 0.05
    have, four = p.roles.memory()
    assert have < 0.5 * four


def test_a_reward_model_does_not_disturb_the_policy(bench: Bench, scorer: Path, tmp_path: Path) -> None:
    p = with_model(bench, tmp_path / "run", scorer)
    bare = pieces(config(bench, "ppo", tmp_path / "run", "rollout.completions=3"))
    assert [a.ids for g in p.groups for a in g.answers] == [a.ids for g in bare.groups for a in g.answers]
    torch.testing.assert_close(p.seen.targets.old, bare.seen.targets.old, rtol=1e-5, atol=1e-5)
    assert not any("reward" in name for name in p.roles.trained())
    assert p.roles.policy.model.active_adapter == "default"


@pytest.mark.parametrize("way", WAYS)
def test_a_critic_may_start_as_the_reward_model(bench: Bench, scorer: Path, tmp_path: Path, way: str) -> None:
    p = with_model(bench, tmp_path / "run", scorer, "objective.critic_init=reward", *WAYS[way])
    assert p.roles.critic is not None
    np.testing.assert_allclose(
        np.concatenate(score_trees(p.roles.critic, p.seen.trees)), alone(scorer, p), atol=1e-5, rtol=1e-5
    )
    assert p.seen.targets.old_values.std() > 0.01
    assert any(name.startswith("critic.") and "head" not in name for name in p.roles.trained())


def test_without_lora_everyone_has_weights_of_their_own(bench: Bench, scorer: Path, tmp_path: Path) -> None:
    p = with_model(bench, tmp_path / "run", scorer, *WAYS["full"])
    r = p.roles
    places = [{q.data_ptr() for q in m.parameters()} for m in r.modules()]
    assert len(places) == 4
    assert not any(a & b for i, a in enumerate(places) for b in places[:i])
    assert r.reward is not None
    np.testing.assert_allclose(np.concatenate(score_trees(r.reward, p.seen.trees)), alone(scorer, p), atol=1e-5)
    frozen = [q for m in (r.reward, r.reference) if m is not None for q in m.parameters()]
    assert frozen
    assert not any(q.requires_grad for q in frozen)


def test_a_full_reward_model_stands_beside_an_adapted_policy(bench: Bench, tmp_path: Path) -> None:
    run = reward_run(bench, tmp_path / "rm", "lora.enabled=false")
    p = with_model(bench, tmp_path / "run", run)
    assert p.roles.reward is not None
    assert p.roles.reward.adapter is None
    np.testing.assert_allclose(np.concatenate(score_trees(p.roles.reward, p.seen.trees)), alone(run, p), atol=1e-5)


def test_an_adapter_of_another_base_is_not_shared(bench: Bench, scorer: Path, tmp_path: Path) -> None:
    """The same tokenizer and shapes, other weights: its scores on this base would be noise."""
    other = save_tiny(tmp_path / "other", seed=7)
    p = with_model(bench, tmp_path / "run", scorer, f"model.base={other}")
    assert p.roles.reward is not None
    assert p.roles.reward.adapter is None
    np.testing.assert_allclose(np.concatenate(score_trees(p.roles.reward, p.seen.trees)), alone(scorer, p), atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stage", ["ppo", "rloo", "grpo"])
def test_a_run_scored_by_a_reward_model(
    bench: Bench, scorer: Path, tmp_path: Path, no_figures: None, stage: str, way: str
) -> None:
    run = tmp_path / "run"
    shared = [f"reward.model={scorer}", "train.learning_rate=1e-2", "reward.clip=null", *WAYS[way]]
    assert train(bench, stage, run, *shared).status == "finished"
    model = run / "model"
    names = {p.name for p in model.iterdir()}
    if way == "lora":
        saved = load_file(model / "adapter_model.safetensors")
        assert saved
        assert not [n for n in saved if "critic" in n or "reward" in n or "score" in n]
        assert json.loads((model / "adapter_config.json").read_text())["r"] == 8
        assert not [n for n in names if n in ("critic", "reward")]
    plain = AutoModelForCausalLM.from_pretrained(bench.base, dtype=torch.float32)
    learned: Any = (
        PeftModel.from_pretrained(plain, str(model))
        if way == "lora"
        else AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    )
    assert float((probe_logps(learned) - probe_logps(plain if way == "full" else base(bench))).abs().max()) > 1e-4
    engine = Engine.open(str(run), dtype="float32")
    assert torch.allclose(probe_logps(engine.model), probe_logps(learned), atol=1e-5)
    assert len(engine.generate([[Message("user", "Fever?")]], Sampling(max_new_tokens=4))) == 1
    if way == "lora":
        merge_run(run, Console(quiet=True))
        merged = AutoModelForCausalLM.from_pretrained(run / "merged", dtype=torch.float32)
        assert torch.allclose(probe_logps(merged), probe_logps(learned), atol=1e-4)


def base(bench: Bench) -> Any:
    return AutoModelForCausalLM.from_pretrained(bench.base, dtype=torch.float32)


def test_scores_are_normalized_by_the_reward_models_held_out_pairs(
    bench: Bench, scorer: Path, tmp_path: Path, no_figures: None
) -> None:
    """score = clip((raw − mean) / std, ±bound): the same run with and without."""
    report = read_report(scorer / "model")
    assert report is not None
    options = [f"reward.model={scorer}", "train.max_steps=1", "rollout.prompts=1", "reward.missing_stop_penalty=0"]
    scores = {}
    for name, more in {"plain": ["reward.clip=null"], "raw": ["reward.normalize=false", "reward.clip=null"]}.items():
        train(bench, "ppo", tmp_path / name, *options, *more)
        scores[name] = column(tmp_path / name, "train/score")[0]
    assert scores["plain"] == pytest.approx((scores["raw"] - report.mean) / report.std, abs=1e-5)
    train(bench, "ppo", tmp_path / "clipped", *options, "reward.clip=0.001")
    assert abs(column(tmp_path / "clipped", "train/score")[0]) == pytest.approx(0.001, rel=1e-4)


def test_the_command_says_how_good_its_reward_model_is(
    bench: Bench, scorer: Path, tmp_path: Path, no_figures: None
) -> None:
    done = CliRunner().invoke(app, ["train", *words(bench, "ppo", tmp_path / "run", f"reward.model={scorer}")])
    assert done.exit_code == 0, done.output
    assert "reward model: right on 100.0%" in done.stderr
    assert "separate models for every role would take" in done.stderr


def test_the_tower_for_pictures_learns_with_nobody(tmp_path: Path, no_figures: None) -> None:
    """All weights are trained, the critic's own with them: but for those that no text reaches."""
    bench = Bench.set_up(tmp_path)
    save_member(bench.base, "gemma3")
    options = ("lora.enabled=false", "train.max_steps=1", "train.save_every=1")
    assert train(bench, "ppo", tmp_path / "run", *options).status == "finished"
    saved = load_file(next((tmp_path / "run/checkpoints").glob("step-*")) / "trainable.safetensors")
    assert {name.partition(".")[0] for name in saved} == {"policy", "critic"}
    assert not [name for name in saved if "visi" in name or "visual" in name or "projector" in name]
