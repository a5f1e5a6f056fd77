"""A run that was stopped, killed, or ran out of disk ends exactly like one that never stopped."""

import errno
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
from tests.stages import Bench, child, column, command, largest_gap, metrics, weights
from transformers import TrainerCallback
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.errors import RunError
from medicalgpt.objectives.language import SupervisedFineTuning
from medicalgpt.runs.folder import RunFolder
from medicalgpt.training import publish
from medicalgpt.training.supervised import run as supervised
from medicalgpt.training.supervised import trainer

# Dropout and NEFTune draw random numbers every step; metric lines, evaluations and samples fall between checkpoints.
OPTIONS = (
    "lora.dropout=0.2",
    "train.neftune_alpha=5",
    "train.max_steps=12",
    "train.tokens_per_step=256",
    "train.save_every=2",
    "train.log_every=3",
    "train.eval_every=4",
    "train.sample_every=5",
    "train.sample_count=1",
    "train.sample_tokens=3",
    "train.learning_rate=1e-3",
)


class Killed(BaseException):
    """Stands for a process that dies: no `except Exception` may stop it."""


@pytest.fixture(scope="module")
def never_stopped(_bench: Bench, _cache: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    run = tmp_path_factory.mktemp("never") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDICALGPT_CACHE", _cache)
        _bench.train("sft", run, *OPTIONS)
    return run


def assert_same(run: Path, never_stopped: Path) -> None:
    assert largest_gap(weights(run), weights(never_stopped)) <= 1e-7
    assert metrics(run) == metrics(never_stopped)
    assert (run / "samples.jsonl").read_text() == (never_stopped / "samples.jsonl").read_text()
    assert (run / "manifest.json").is_file()


def start(bench: Bench, run: Path) -> "subprocess.Popen[str]":
    """The run in a process of its own, until its first checkpoint is there."""
    words = command("train", *bench.words("sft", run, *OPTIONS))
    process = subprocess.Popen(words, env=child(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not (run / "checkpoints" / "step-2").is_dir():
        if process.poll() is not None:
            pytest.fail(f"the run ended before its first checkpoint:\n{process.communicate()[0]}")
        time.sleep(0.01)
    return process


def test_kill_9_at_a_random_moment(bench: Bench, never_stopped: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(bench, run)
    time.sleep(random.uniform(0, 0.4))
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (run / "manifest.json").exists()
    assert bench.train("sft", run, *OPTIONS).status == "finished"
    assert_same(run, never_stopped)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_saves_and_ends(
    number: signal.Signals, code: int, bench: Bench, never_stopped: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(bench, run)
    process.send_signal(number)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert not (run / "manifest.json").exists()
    outcome = bench.train("sft", run, *OPTIONS)
    assert outcome.status == "finished"
    assert outcome.before == {k: v for k, v in metrics(never_stopped)[0].items() if k.startswith("eval/")}
    assert_same(run, never_stopped)


def test_an_interruption_is_saved_between_regular_checkpoints(
    bench: Bench, never_stopped: Path, tmp_path: Path
) -> None:
    interrupt_at(3, bench, tmp_path / "run")
    assert RunFolder(tmp_path / "run").latest_checkpoint() == tmp_path / "run" / "checkpoints" / "step-3"
    bench.train("sft", tmp_path / "run", *OPTIONS)
    assert_same(tmp_path / "run", never_stopped)


def interrupt_at(step: int, bench: Bench, run: Path) -> None:
    """Ctrl-C during one step, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        during(patch, step, lambda: signal.raise_signal(signal.SIGINT))
        outcome = bench.train("sft", run, *OPTIONS)
    assert (outcome.status, outcome.signal) == ("interrupted", signal.SIGINT)


def during(patch: pytest.MonkeyPatch, step: int, act: Any) -> None:
    """Do something in the middle of a step (1-based)."""

    class Act(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == step - 1:
                act()

    init = trainer.StageTrainer.__init__

    def with_act(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.add_callback(Act())

    patch.setattr(trainer.StageTrainer, "__init__", with_act)


@pytest.mark.parametrize("moment", ["publish", "held-out numbers"])
def test_death_after_the_last_checkpoint_doubles_nothing(
    moment: str, bench: Bench, never_stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if moment == "publish":
            patch.setattr(supervised, "publish", die)
        else:
            append = trainer.MetricsLog.append
            patch.setattr(
                trainer.MetricsLog,
                "append",
                lambda log, step, line: die() if step == 12 and "eval/loss" in line else append(log, step, line),
            )
        with pytest.raises(Killed):
            bench.train("sft", tmp_path / "run", *OPTIONS)
    assert bench.train("sft", tmp_path / "run", *OPTIONS).status == "finished"
    assert_same(tmp_path / "run", never_stopped)


def test_a_full_disk_leaves_the_checkpoint_before(
    bench: Bench, never_stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, save, calls = tmp_path / "run", trainer.save_file, []

    def full_the_second_time(tensors: Any, path: Path) -> None:
        calls.append(path)
        if len(calls) == 2:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(tensors, path)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "save_file", full_the_second_time)
        result = CliRunner().invoke(app, ["train", *bench.words("sft", run, *OPTIONS)])
    assert result.exit_code == 2
    assert "the checkpoint of step 4 could not be saved: the disk is full" in result.stderr
    assert f"The checkpoint {run / 'checkpoints' / 'step-2'} is intact" in result.stderr
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["step-2"]
    assert not (run / "manifest.json").exists()
    bench.train("sft", run, *OPTIONS)
    assert_same(run, never_stopped)


def test_a_full_disk_at_the_very_end_keeps_the_run(
    bench: Bench, never_stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(publish, "save_model", full)
        with pytest.raises(RunError, match=r"the disk is full.*step-12 is intact"):
            bench.train("sft", tmp_path / "run", *OPTIONS)
    assert not (tmp_path / "run" / "model").exists()
    assert not (tmp_path / "run" / "manifest.json").exists()
    bench.train("sft", tmp_path / "run", *OPTIONS)
    assert_same(tmp_path / "run", never_stopped)


def test_another_setting_does_not_continue_the_run(bench: Bench, tmp_path: Path) -> None:
    interrupt_at(3, bench, tmp_path / "run")
    with pytest.raises(RunError, match=r"another configuration \(different: train.seed\)"):
        bench.train("sft", tmp_path / "run", *OPTIONS, "train.seed=7")


def test_full_training_resumes_too(
    bench: Bench, tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("lora.enabled=false", "train.max_steps=4", "train.save_every=2", "train.neftune_alpha=5")
    bench.train("sft", tmp_path / "straight", *options)
    with monkeypatch.context() as patch:
        during(patch, 4, lambda: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            bench.train("sft", tmp_path / "run", *options)
    bench.train("sft", tmp_path / "run", *options)
    assert largest_gap(weights(tmp_path / "run"), weights(tmp_path / "straight")) == 0.0
    assert metrics(tmp_path / "run") == metrics(tmp_path / "straight")


# -- numbers that are none ----------------------------------------------------------------------------------------------
def test_a_loss_that_explodes_halts_the_run_with_its_row_ids(bench: Bench, tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)  # a shell that starts the tests in the background ignores it
    run = tmp_path / "run"
    words = bench.words("sft", run, "train.learning_rate=1e30", "train.warmup=0", "train.max_steps=6")
    result = CliRunner().invoke(app, ["train", *words])
    assert result.exit_code == 2
    assert "became non-finite at step 1" in result.stderr
    assert "Try a lower train.learning_rate" in result.stderr.replace("\n       ", " ")
    noted = json.loads((run / "nonfinite-step-1-rank-0.json").read_text())
    assert noted["rows"]
    assert set(noted["rows"]) <= {f"{bench.folder / 'sft.jsonl'}:{i}" for i in range(1, 21)}
    assert not (run / "manifest.json").exists()
    assert len(column(run, "train/loss")) == 1
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_gradient_that_is_none_halts_before_the_weights(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = SupervisedFineTuning.loss

    def without_gradient(self: Any, policy: Any, batch: Any) -> Any:
        out = loss(self, policy, batch)
        out.sum = out.sum + torch.sqrt(out.sum * 0)  # adds 0, with the slope ∞ · 0
        return out

    monkeypatch.setattr(SupervisedFineTuning, "loss", without_gradient)
    with pytest.raises(RunError, match="gradient norm became non-finite at step 0"):
        bench.train("sft", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "nonfinite-step-0-rank-0.json").read_text())["what"] == "gradient norm"
    assert not column(tmp_path / "run", "train/loss")
