"""A run that was stopped, killed, or ran out of disk ends exactly like one that never stopped."""

import errno
import json
import math
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.stages import Bench, Killed, child, column, command, largest_gap, metrics, weights
from transformers import TrainerCallback
from typer.testing import CliRunner

from medicalgpt.checkpoints import checkpoint
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


@pytest.mark.slow
def test_kill_9_at_a_random_moment(bench: Bench, never_stopped: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(bench, run)
    time.sleep(random.uniform(0, 0.4))
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (run / "manifest.json").exists()
    assert bench.train("sft", run, *OPTIONS).status == "finished"
    assert_same(run, never_stopped)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGUSR1, 138, id="SLURM's warning"),
        pytest.param(signal.SIGINT, 130, id="Ctrl-C", marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_ends(
    number: signal.Signals, code: int, bench: Bench, never_stopped: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(bench, run)
    process.send_signal(number)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert f"stopped by {number.name} with a checkpoint; the same command goes on" in said
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
    run, save, calls = tmp_path / "run", checkpoint.save_file, []

    def full_the_second_time(tensors: Any, path: Path) -> None:
        calls.append(path)
        if len(calls) == 2:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(tensors, path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full_the_second_time)
        result = CliRunner().invoke(app, ["train", *bench.words("sft", run, *OPTIONS)])
    assert result.exit_code == 2
    assert "the checkpoint of step 4 could not be saved: the disk is full (0." in result.stderr
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


def test_checkpoints_by_time_change_nothing(
    bench: Bench, never_stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after every step, between lines, evaluations and samples, against a run that saved every second one."""
    by_step = [option for option in OPTIONS if "save_every" not in option]
    saved = []
    with monkeypatch.context() as patch:
        saving = RunFolder.saving
        patch.setattr(RunFolder, "saving", lambda self, step, needs: saved.append(step) or saving(self, step, needs))
        bench.train("sft", tmp_path / "run", *by_step, "train.save_minutes=1e-9")
    assert saved == list(range(1, 13))
    assert_same(tmp_path / "run", never_stopped)
    assert largest_gap(weights(tmp_path / "run"), weights(never_stopped)) == 0.0


def test_a_short_run_saves_its_end_and_nothing_else(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    bench.train("sft", tmp_path / "runs" / "run")
    assert [p.name for p in (tmp_path / "runs" / "run" / "checkpoints").iterdir()] == ["step-2"]
    found = [tmp_path / "runs", *(tmp_path / "runs").rglob("*")]
    assert {p.stat().st_mode & 0o777 for p in found} == {0o700, 0o600}, "patients' text is for the user alone"
    bench.train("sft", tmp_path / "without", "train.save_minutes=null")
    assert not (tmp_path / "without" / "checkpoints").exists()
    # What the clock says makes no other run of it.
    assert bench.train("sft", tmp_path / "runs" / "run", "train.save_minutes=3").status == "already finished"


@pytest.mark.parametrize("end", ["finished", "stopped"])
def test_a_run_that_is_made_longer_is_the_long_run(end: str, bench: Bench, tmp_path: Path, no_figures: None) -> None:
    """With a rate that does not depend on the length, which is all that it changes."""
    options = ("train.schedule=constant", "train.warmup=0", "lora.dropout=0.2", "train.save_every=2")
    bench.train("sft", tmp_path / "long", *options, "train.max_steps=5")
    bench.train("sft", tmp_path / "run", *options, "train.max_steps=3")
    if end == "stopped":
        (tmp_path / "run" / "manifest.json").unlink()
        shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-3")
    outcome = bench.train("sft", tmp_path / "run", *options, "train.max_steps=5")
    assert outcome.status == "finished"
    assert largest_gap(weights(tmp_path / "run"), weights(tmp_path / "long")) == 0.0
    assert [line["step"] for line in metrics(tmp_path / "run") if "train/loss" in line] == [1, 2, 3, 4, 5]
    assert column(tmp_path / "run", "train/loss") == column(tmp_path / "long", "train/loss")
    assert bench.train("sft", tmp_path / "run", *options, "train.max_steps=5").status == "already finished"
    with pytest.raises(RunError, match=r"different: train\.max_steps, and only a larger train\.max_steps"):
        bench.train("sft", tmp_path / "run", *options, "train.max_steps=4")


def test_the_rate_of_a_longer_run_is_that_of_the_new_length(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    """Cosine without warm-up: 1/2 (1 + cos(pi step / steps)), from the step at which it was made longer."""
    options = ("train.warmup=0", "train.learning_rate=1e-3")
    bench.train("sft", tmp_path / "run", *options, "train.max_steps=2")
    bench.train("sft", tmp_path / "run", *options, "train.max_steps=4", "train.epochs=7")
    rates = [0.5e-3 * (1 + math.cos(math.pi * x)) for x in (0, 1 / 2, 2 / 4, 3 / 4)]
    assert column(tmp_path / "run", "train/learning_rate") == pytest.approx(rates)


def test_more_epochs_pass_over_no_row(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    """The last step of an epoch is not full; a longer run keeps it, or the rows that would fill it would never be seen."""
    options = ("train.max_steps=null", "train.tokens_per_step=256", "train.schedule=constant", "train.warmup=0")
    seen: list[list[str]] = []
    plans: list[Any] = []
    make_plan = supervised.make_plan

    def train(run: Path, epochs: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            take = trainer.StageTrainer._get_num_items_in_batch

            def note(self: Any, batches: Any, device: Any) -> Any:
                seen[-1].extend(row for batch in batches for row in batch.rows)
                return take(self, batches, device)

            patch.setattr(trainer.StageTrainer, "_get_num_items_in_batch", note)
            patch.setattr(supervised, "make_plan", lambda *args: plans.append(make_plan(*args)) or plans[-1])
            seen.append([])
            bench.train("sft", run, *options, f"train.epochs={epochs}")

    train(tmp_path / "run", 1)
    train(tmp_path / "run", 2)
    train(tmp_path / "long", 2)
    first, second, whole = seen
    assert not all(plans[0].run.rows[-4:]), "the last step should not be full"
    assert plans[1].run.rows[: len(plans[0].run.rows)] == plans[0].run.rows
    assert sorted(first) == sorted(second)
    assert sorted(first + second) == sorted(whole)


def test_a_finished_run_without_a_checkpoint_cannot_be_made_longer(
    bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    bench.train("sft", tmp_path / "run", "train.save_minutes=null")
    with pytest.raises(RunError, match=r"a finished run without a checkpoint.*model\.base="):
        bench.train("sft", tmp_path / "run", "train.max_steps=4")
    assert (tmp_path / "run" / "manifest.json").is_file()


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
