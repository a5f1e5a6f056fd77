"""The model of the best held-out number is published, patience ends a run, and neither depends on where the run was broken off."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests import rl
from tests.e2e.test_distributed import two_ranks
from tests.marks import quick_and_slow
from tests.stages import Bench, Killed, column, largest_gap, manifest, metrics, weights

from medicalgpt.errors import ConfigError, RunError
from medicalgpt.runs.folder import RunFolder
from medicalgpt.training.supervised import run as supervised
from medicalgpt.training.supervised import trainer

# The rate is too high, so that held-out loss falls until step 8 and is above that from then on; checkpoints fall between.
OPTIONS = (
    "train.learning_rate=0.03",
    "train.schedule=constant",
    "train.max_steps=18",
    "train.eval_every=2",
    "train.save_every=3",
    "train.sample_count=1",
    "train.sample_tokens=3",
    "data.eval_fraction=0.2",
)
BEST = (*OPTIONS, "train.keep_best=eval/loss")
PATIENT = (*BEST, "train.patience=2")


@pytest.fixture(scope="module")
def patient(_bench: Bench, _cache: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run that was never broken off and ended by patience."""
    run = tmp_path_factory.mktemp("patient") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDICALGPT_CACHE", _cache)
        _bench.train("sft", run, *PATIENT)
    return run


def steps(run: Path) -> list[int]:
    """Of its checkpoints."""
    return sorted(int(path.name.removeprefix("step-")) for path in (run / "checkpoints").iterdir())


def assert_same(run: Path, other: Path, samples: bool = True) -> None:
    for file in ("model/adapter_model.safetensors", *["samples.jsonl"] * samples):
        assert (run / file).read_bytes() == (other / file).read_bytes(), file
    assert metrics(run) == metrics(other)
    facts = ("best", "before", "after", "tokens")
    assert [manifest(run)[name] for name in facts] == [manifest(other)[name] for name in facts]


def test_the_model_of_the_best_step_is_published(bench: Bench, patient: Path, tmp_path: Path) -> None:
    losses = dict(zip(range(0, 20, 2), column(patient, "eval/loss")))
    assert min(losses, key=losses.__getitem__) == 8, "the test wants its best step amid the run"
    assert list(losses) == [0, 2, 4, 6, 8, 10, 12], "two evaluations without a better number end it"
    found = manifest(patient)
    assert found["best"] == {
        "metric": "eval/loss",
        "goal": "min",
        "step": 8,
        "value": losses[8],
        "last": 12,
        "stopped": True,
    }
    assert found["after"]["eval/loss"] == losses[8]
    assert "published: step 8, where eval/loss was best" in (patient / "report.html").read_text()
    # The schedule does not depend on the length: a run of eight steps is what this one was at its best.
    bench.train("sft", tmp_path / "eight", *OPTIONS, "train.max_steps=8")
    assert largest_gap(weights(patient), weights(tmp_path / "eight")) == 0.0
    samples = [json.loads(line)["step"] for line in (patient / "samples.jsonl").read_text().splitlines()]
    assert samples == [0, 2, 4, 6, 8, 12], "the published model's answers are among them"


def test_one_checkpoint_more_is_kept(patient: Path) -> None:
    assert steps(patient) == [8, 9, 12], "the newest two, and the best"


@pytest.mark.parametrize("step", quick_and_slow([8, 12], [1, 2, 3, 4, 5, 6, 7, 9, 10, 11]))
def test_a_run_that_dies_in_any_step_ends_in_the_same_bytes(
    step: int, bench: Bench, patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = trainer.StageTrainer.training_step

    def die_in_step(self: Any, *args: Any, **more: Any) -> torch.Tensor:
        if self.state.global_step == step - 1:
            raise Killed
        return taken(self, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.StageTrainer, "training_step", die_in_step)
        with pytest.raises(Killed):
            bench.train("sft", tmp_path / "run", *PATIENT)
    assert bench.train("sft", tmp_path / "run", *PATIENT).status == "finished"
    assert_same(tmp_path / "run", patient)
    assert steps(tmp_path / "run") == steps(patient)


@pytest.mark.parametrize("moment", ["publish", "the weights of the best"])
def test_a_run_that_dies_at_its_end_trains_no_further(
    moment: str, bench: Bench, patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(supervised, "publish" if moment == "publish" else "chosen", die)
        with pytest.raises(Killed):
            bench.train("sft", tmp_path / "run", *PATIENT)
    with monkeypatch.context() as patch:
        patch.setattr(trainer.StageTrainer, "training_step", die)
        assert bench.train("sft", tmp_path / "run", *PATIENT).status == "finished"
    assert_same(tmp_path / "run", patient)


def test_more_patience_takes_a_finished_run_on(
    bench: Bench, patient: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], no_figures: None
) -> None:
    bench.train("sft", tmp_path / "long", *BEST)
    shutil.copytree(patient, tmp_path / "run")
    assert bench.train("sft", tmp_path / "run", *BEST).status == "finished"
    assert "it is made longer by more train.patience" in capfd.readouterr().err
    assert_same(tmp_path / "run", tmp_path / "long", samples=False)  # those of the old end stay
    assert steps(tmp_path / "run") == steps(tmp_path / "long") == [8, 15, 18]
    with pytest.raises(RunError, match=r"different: train\.patience, and only"):
        bench.train("sft", tmp_path / "run", *PATIENT)


def test_more_steps_alone_wait_no_longer(
    bench: Bench, patient: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], no_figures: None
) -> None:
    shutil.copytree(patient, tmp_path / "run")
    assert bench.train("sft", tmp_path / "run", *PATIENT, "train.max_steps=30").status == "finished"
    assert "stopped after step 12 of 30: 2 evaluations in a row brought no better eval/loss" in capfd.readouterr().err
    assert_same(tmp_path / "run", patient)


def test_the_end_of_a_shorter_run_does_not_count_in_the_longer_one(
    bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    """It is measured at step 11, too, which the long run never is, and which is no evaluation without a better number."""
    bench.train("sft", tmp_path / "long", *PATIENT)
    bench.train("sft", tmp_path / "run", *PATIENT, "train.max_steps=11")
    assert manifest(tmp_path / "run")["best"]["stopped"] is False
    bench.train("sft", tmp_path / "run", *PATIENT)
    assert largest_gap(weights(tmp_path / "run"), weights(tmp_path / "long")) == 0.0
    assert manifest(tmp_path / "run")["best"] == manifest(tmp_path / "long")["best"]


def test_where_training_only_harms_the_start_is_published(
    bench: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str], no_figures: None
) -> None:
    words = (*PATIENT, "train.keep_best=max:eval/loss", "train.patience=3", "lora.enabled=false")
    bench.train("sft", tmp_path / "run", *words)
    assert "warning: no step was better than the start" in capfd.readouterr().err
    assert manifest(tmp_path / "run")["best"]["step"] == 0
    assert manifest(tmp_path / "run")["after"]["eval/loss"] == manifest(tmp_path / "run")["before"]["eval/loss"]
    assert largest_gap(weights(tmp_path / "run"), load_file(bench.base / "model.safetensors")) == 0.0
    assert steps(tmp_path / "run") == [0, 3, 6]


def test_a_lost_checkpoint_is_said_and_the_next_best_taken(
    bench: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, no_figures: None
) -> None:
    def lose(*_: Any) -> None:
        shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-8")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(supervised, "publish", lose)
        with pytest.raises(Killed):
            bench.train("sft", tmp_path / "run", *PATIENT)
    bench.train("sft", tmp_path / "run", *PATIENT)
    assert "warning: step 8 was better (5.293), but its checkpoint is lost" in capfd.readouterr().err
    losses = dict(zip(range(0, 14, 2), column(tmp_path / "run", "eval/loss")))
    best = manifest(tmp_path / "run")["best"]
    assert (best["step"], best["value"]) == (12, losses[12]), "of 9 nothing was measured"


def test_full_training_publishes_the_best_too(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    words = (*BEST, "lora.enabled=false", "train.max_steps=8")
    bench.train("sft", tmp_path / "run", *words)
    losses = column(tmp_path / "run", "eval/loss")
    at = 2 * losses.index(min(losses))
    assert 0 < at < 8
    assert manifest(tmp_path / "run")["best"]["step"] == at
    kept = load_file(RunFolder(tmp_path / "run").checkpoint_dir(at) / "trainable.safetensors")
    published = weights(tmp_path / "run")
    assert all((kept[f"policy.model.{name}"] == tensor).all() for name, tensor in published.items())


def test_without_checkpoints_the_best_is_saved_all_the_same(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    words = ("train.save_every=null", "train.save_minutes=null")
    bench.train("sft", tmp_path / "run", *PATIENT, *words)
    assert manifest(tmp_path / "run")["best"]["step"] == 8
    bench.train("sft", tmp_path / "eight", *OPTIONS, *words, "train.max_steps=8")
    assert largest_gap(weights(tmp_path / "run"), weights(tmp_path / "eight")) == 0.0


@pytest.mark.parametrize("stage", quick_and_slow(["dpo", "rm"], ["pt", "orpo", "simpo", "kto"]))
def test_every_stage_on_rows(stage: str, bench: Bench, tmp_path: Path, no_figures: None) -> None:
    name = {"dpo": "eval/rewards/accuracy", "rm": "eval/rewards/accuracy", "kto": "min:eval/kl_baseline"}
    words = ("train.max_steps=4", "train.eval_every=1", "data.eval_fraction=0.3", "train.learning_rate=1e-2")
    bench.train(stage, tmp_path / "run", *words, f"train.keep_best={name.get(stage, 'eval/loss')}")
    best = manifest(tmp_path / "run")["best"]
    values = column(tmp_path / "run", best["metric"])
    assert best["value"] == (min if best["goal"] == "min" else max)(values)
    assert best["step"] == values.index(best["value"])
    assert manifest(tmp_path / "run")["after"][best["metric"]] == best["value"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train.keep_best=eval/lost",), r"it is not known whether more or less of it is better; write min:eval/lost or max"),
        (("train.keep_best=min:eval/lost",), r"measures no 'eval/lost'; held-out numbers are: eval/accuracy, eval/loss"),
        (("train.keep_best=eval/loss", "data.eval_fraction=0"), "nothing is held out that could be measured: set data.eval"),
        (("train.keep_best=train/loss",), "keep_best"),
        (("train.keep_best=eval/loss", "train.eval_every=null"), "set eval_every, too"),
        (("train.patience=2",), "set keep_best, too"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_before_the_first_step(
    words: tuple[str, ...], said: str, bench: Bench, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        bench.train("sft", tmp_path / "run", *OPTIONS, *words)
    assert not list(tmp_path.glob("run/metrics.jsonl"))
    bench.train("sft", tmp_path / "run", "train.max_steps=1")  # the folder is free for a corrected one


# -- on the model's own answers -----------------------------------------------------------------------------------------
GRPO = (
    rl.scored_by("share_of_a"),
    "train.max_steps=8",
    "train.eval_every=2",
    "train.save_every=3",
    "data.eval_fraction=0.2",
    "train.learning_rate=3e-2",
    "train.keep_best=max:eval/length",
    "train.patience=2",
)


def test_reinforcement_learning_too(
    bench: Bench, tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rl.train(bench, "grpo", tmp_path / "straight", *GRPO)
    best = manifest(tmp_path / "straight")["best"]
    values = dict(zip(range(0, 10, 2), column(tmp_path / "straight", "eval/length")))
    assert best["value"] == max(values.values()) == manifest(tmp_path / "straight")["after"]["eval/length"]
    assert best["step"] == max(values, key=lambda step: (values[step], -step))
    assert best["last"] == min(8, best["step"] + 4)
    assert best["stopped"] == (best["last"] < 8)
    with rl.dies_in_the_third_update(monkeypatch):
        rl.train(bench, "grpo", tmp_path / "run", *GRPO)
    rl.train(bench, "grpo", tmp_path / "run", *GRPO)
    assert largest_gap(weights(tmp_path / "run"), weights(tmp_path / "straight")) == 0.0
    assert manifest(tmp_path / "run")["best"] == best
    kept = load_file(RunFolder(tmp_path / "run").checkpoint_dir(best["step"]) / "trainable.safetensors")
    assert any("lora_B" in name for name in kept)


def test_rl_names_what_it_measures(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    with pytest.raises(
        ConfigError, match=r"measures no 'eval/loss'; held-out numbers are: .*eval/score, .*eval/stop_rate"
    ):
        rl.train(bench, "grpo", tmp_path / "run", *GRPO, "train.keep_best=eval/loss")
    rl.train(bench, "grpo", tmp_path / "run", "train.max_steps=1")  # the folder is free for a corrected one


def test_rl_without_held_out_prompts_is_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing is held out.*train\.eval_prompts above 0"):
        rl.train(bench, "grpo", tmp_path / "run", *GRPO, "train.eval_prompts=0")


# -- two processes ------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_two_processes_agree(bench: Bench, tmp_path: Path) -> None:
    def job(name: str, **more: Any) -> dict[str, Any]:
        words = (*PATIENT, "train.tokens_per_step=128")
        return {"stage": "sft", "words": bench.words("sft", tmp_path / name, *words)[1:], "wide": True, **more}

    two_ranks([job("straight"), job("run", interrupt=1), job("run")])
    best = manifest(tmp_path / "straight")["best"]
    losses = column(tmp_path / "straight", "eval/loss")
    assert best["value"] == min(losses)
    assert manifest(tmp_path / "straight")["world_size"] == 2
    assert manifest(tmp_path / "run")["best"] == best
    assert largest_gap(weights(tmp_path / "run"), weights(tmp_path / "straight")) == 0.0
