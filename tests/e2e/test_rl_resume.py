"""A PPO run that was killed or stopped ends exactly like one that never was; two processes learn what one learns."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.e2e.test_distributed import torchrun, two_ranks
from tests.marks import quick_and_slow
from tests.numerics import EXACT, Walk, assert_exact, assert_rounding, float64, nudged_walks, walking
from tests.rl import Killed, dies_in_the_third_update, scored_by, train, words
from tests.stages import Bench, child, command, largest_gap, manifest, weights
from tests.tiny import tiny_tokenizer

from medicalgpt.training.rl import loop
from medicalgpt.training.rl import stage as rl_stage

CLOCK = ("seconds", "per_second", "rollout_share")
# The reward draws random numbers, β is adapted, and log lines, evaluations and samples fall between checkpoints.
OPTIONS = (
    scored_by("drawn"),
    "train.max_steps=8",
    "train.save_every=2",
    "train.log_every=3",
    "train.eval_every=3",
    "train.learning_rate=3e-3",
    "data.eval_fraction=0.2",
    "objective.target_kl=0.5",
    "objective.critic_warmup=1",
    "objective.entropy=0.01",
    "rollout.completions=2",
    "rollout.temperature=0.8",
)


def lines(run: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what depends on the clock."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.endswith(CLOCK)} for line in found]


def checkpoint(run: Path, step: int) -> dict[str, torch.Tensor]:
    """Policy and critic as a checkpoint holds them."""
    return load_file(run / "checkpoints" / f"step-{step}" / "trainable.safetensors")


@pytest.fixture(scope="module")
def never_stopped(_bench: Bench, _cache: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    run = tmp_path_factory.mktemp("never") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDICALGPT_CACHE", _cache)
        assert train(_bench, "ppo", run, *OPTIONS).status == "finished"
    found = lines(run)
    assert [line["step"] for line in found] == [0, 3, 6, 8]
    assert all("eval/score" in line for line in found)
    assert len({line["train/beta"] for line in found[1:]}) == 3, "β should have been adapted"
    assert any(name.startswith("critic.") and "lora" in name for name in checkpoint(run, 8))
    return run


def assert_same(run: Path, other: Path) -> None:
    assert largest_gap(weights(run), weights(other)) == 0.0
    assert largest_gap(checkpoint(run, 8), checkpoint(other, 8)) == 0.0
    assert lines(run) == lines(other)
    assert (run / "samples.jsonl").read_text() == (other / "samples.jsonl").read_text()
    names = ("before", "after", "ledger", "tokens")
    assert {n: manifest(run)[n] for n in names} == {n: manifest(other)[n] for n in names}


def start(bench: Bench, run: Path, *more: str) -> "subprocess.Popen[str]":
    """The run in a process of its own, until its first checkpoint is there."""
    said = (run.parent / "said.txt").open("w")
    order = command("train", *words(bench, "ppo", run, *OPTIONS, *more))
    process = subprocess.Popen(order, env=child(), stdout=said, stderr=subprocess.STDOUT, text=True)
    while not (run / "checkpoints" / "step-2").is_dir():
        if process.poll() is not None:
            pytest.fail(f"the run ended before its first checkpoint:\n{(run.parent / 'said.txt').read_text()}")
        time.sleep(0.005)
    return process


@pytest.mark.parametrize("number", quick_and_slow([signal.SIGTERM], [signal.SIGKILL]))
def test_a_run_that_was_ended_from_outside(
    number: signal.Signals, bench: Bench, never_stopped: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(bench, run)
    process.send_signal(number)
    assert process.wait(120) == (-9 if number == signal.SIGKILL else 143), (tmp_path / "said.txt").read_text()
    assert not (run / "manifest.json").exists()
    if number == signal.SIGTERM:
        said = (tmp_path / "said.txt").read_text()
        assert "SIGTERM: stopping after this update; a checkpoint is saved" in said
        assert "the same command goes on" in said
        assert "Traceback" not in said
    random.seed(999)  # which the run may not depend on
    assert train(bench, "ppo", run, *OPTIONS).status == "finished"
    assert_same(run, never_stopped)


@pytest.mark.parametrize("moment", quick_and_slow(["publish"], ["before the first checkpoint"]))
def test_a_process_that_dies(
    moment: str, bench: Bench, never_stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if moment == "publish":
            patch.setattr(rl_stage, "publish", die)
        else:
            patch.setattr(loop.RlTrainer, "_save", die)
        with pytest.raises(Killed):
            train(bench, "ppo", tmp_path / "run", *OPTIONS)
    assert (tmp_path / "run" / "metrics.jsonl").is_file()
    assert train(bench, "ppo", tmp_path / "run", *OPTIONS).status == "finished"
    assert_same(tmp_path / "run", never_stopped)


@pytest.mark.parametrize("stage", ["rloo", "grpo", "ppo"])
def test_full_training_resumes_too(
    stage: str, bench: Bench, tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("lora.enabled=false", "train.max_steps=3", "train.save_every=2", "train.learning_rate=1e-3")
    train(bench, stage, tmp_path / "straight", *options)
    with dies_in_the_third_update(monkeypatch):
        train(bench, stage, tmp_path / "run", *options)
    train(bench, stage, tmp_path / "run", *options)
    assert largest_gap(weights(tmp_path / "run"), weights(tmp_path / "straight")) == 0.0
    assert lines(tmp_path / "run") == lines(tmp_path / "straight")


def test_a_run_that_refills_goes_on_with_the_prompt_that_comes_next(
    bench: Bench, tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many prompts its updates took depends on the answers, so the checkpoint has to know."""
    options = (scored_by("begins_early"), "rollout.dynamic_sampling=refill", "rollout.refills=4", "train.max_steps=4")
    options += ("train.save_every=2", "train.learning_rate=1e-3", "objective.loss_type=dapo", "objective.beta=0")
    train(bench, "grpo", tmp_path / "straight", *options)
    took = [line["train/prompts"] for line in lines(tmp_path / "straight") if line["step"]]
    assert max(took[:2]) > 4, "some prompts should have been left out before the checkpoint"
    with dies_in_the_third_update(monkeypatch):
        train(bench, "grpo", tmp_path / "run", *options)
    train(bench, "grpo", tmp_path / "run", *options)
    assert largest_gap(weights(tmp_path / "run"), weights(tmp_path / "straight")) == 0.0
    assert lines(tmp_path / "run") == lines(tmp_path / "straight")


def test_an_update_whose_answers_are_all_alike_changes_no_weight(
    bench: Bench, tmp_path: Path, no_figures: None, capfd: pytest.CaptureFixture[str]
) -> None:
    options = (scored_by("equal"), "reward.missing_stop_penalty=0", "lora.enabled=false", "train.learning_rate=1e-2")
    train(bench, "grpo", tmp_path / "run", *options, "rollout.dynamic_sampling=drop", "objective.beta=0.5")
    found = [line for line in lines(tmp_path / "run") if line["step"]]
    assert [(line["train/prompts"], line["train/without_spread"]) for line in found] == [(4.0, 4.0)] * 2
    assert all("train/score" in line and "train/kl" not in line and "train/policy_loss" not in line for line in found)
    assert largest_gap(weights(tmp_path / "run"), load_file(bench.base / "model.safetensors")) == 0.0
    assert "4 of 4 prompts without spread" in capfd.readouterr().err


def test_checkpoints_by_time_change_nothing(bench: Bench, never_stopped: Path, tmp_path: Path) -> None:
    by_time = [option for option in OPTIONS if "save_every" not in option]
    train(bench, "ppo", tmp_path / "run", *by_time, "train.save_minutes=1e-9", "train.keep_checkpoints=20")
    found = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert found == [f"step-{step}" for step in range(1, 9)]
    assert_same(tmp_path / "run", never_stopped)


def test_a_run_that_is_made_longer_is_the_long_run(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    options = ("train.schedule=constant", "train.warmup=0")
    train(bench, "rloo", tmp_path / "long", *options, "train.max_steps=3")
    train(bench, "rloo", tmp_path / "run", *options, "train.max_steps=2")
    assert train(bench, "rloo", tmp_path / "run", *options, "train.max_steps=3").status == "finished"
    assert largest_gap(weights(tmp_path / "run"), weights(tmp_path / "long")) == 0.0


def test_another_setting_does_not_continue_the_run(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    from medicalgpt.errors import RunError

    train(bench, "rloo", tmp_path / "run", "train.save_every=1")
    (tmp_path / "run" / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"another configuration \(different: objective.clip\)"):
        train(bench, "rloo", tmp_path / "run", "train.save_every=1", "objective.clip=0.1")


def test_a_fresh_run_asks_no_log(
    bench: Bench, tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process writes it, perhaps a moment later."""

    def not_there(*_: Any) -> Any:
        raise AssertionError("metrics.jsonl was read")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "held_out_numbers", not_there)
        assert train(bench, "rloo", tmp_path / "run", "train.save_every=1").status == "finished"


# -- two processes ------------------------------------------------------------------------------------------------------
PAIR = ("train.max_steps=3", "train.save_every=3", "data.eval_fraction=0.2", "rollout.completions=2")


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    """Four prompts, three minibatches of one or two: in some of them a process has nothing to do."""
    options = (*PAIR, "objective.minibatches=3", "train.learning_rate=1e-3", "objective.target_kl=0.5")
    one, two, along = tmp_path / "one", tmp_path / "two", str(tmp_path / "one.walk")
    with float64(), walking() as exact:
        train(bench, "ppo", one, *options)
    exact.save(Path(along))
    runs = (tmp_path / f"nudged {i}" for i in range(9))
    nudged = nudged_walks(lambda: train(bench, "ppo", next(runs), *options), exact)
    pair = {"wide": True, "keep": str(tmp_path / "two.walk")}, {"along": along, "keep": str(tmp_path / "two32.walk")}
    jobs = [
        {"stage": "ppo", "words": words(bench, "ppo", tmp_path / name, *options)[1:], **more}
        for name, more in zip(("two", "two32"), pair)
    ]
    done = two_ranks(jobs)
    assert_exact(Walk.load(tmp_path / "two.walk"), exact)
    # Minibatches of at most two prompts of 64 tokens and their answers sum over less than the vocabulary does.
    assert_rounding(Walk.load(tmp_path / "two32.walk"), exact, nudged, len(tiny_tokenizer()))
    assert largest_gap(weights(one), weights(two)) < EXACT
    assert largest_gap(checkpoint(one, 3), checkpoint(two, 3)) < EXACT
    assert len(lines(one)) == len(lines(two)) == len(lines(tmp_path / "two32")) == 4
    for a, b, c in zip(lines(one), lines(two), lines(tmp_path / "two32")):
        assert a == pytest.approx(b, rel=EXACT, abs=EXACT)
        assert a == pytest.approx(c, rel=1e-3, abs=1e-4)
    assert (manifest(two)["world_size"], manifest(two)["ledger"]) == (2, manifest(one)["ledger"])
    samples = [
        [json.loads(x)["answer"] for x in (run / "samples.jsonl").read_text().splitlines()] for run in (one, two)
    ]
    assert samples[0] == samples[1]
    assert done.stderr.count("update 1/3") == len(jobs), "one process speaks for both"


@pytest.mark.slow
def test_prompts_that_cannot_be_shared_out(bench: Bench, tmp_path: Path) -> None:
    done = torchrun("-m", "medicalgpt", "train", *words(bench, "ppo", tmp_path / "run", "rollout.prompts=3"))
    assert done.returncode != 0
    assert "rollout.prompts=3 is no multiple of the 2 processes" in done.stderr
    assert "[rank" not in done.stderr, "a process died with a traceback"
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
