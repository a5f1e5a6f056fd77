"""Run folders: who may begin where, and which checkpoints survive what."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from medicalgpt.errors import RunError
from medicalgpt.runs import Manifest, MetricsLog, RunFolder, RunKey, SampleLog, StartState, manifest
from medicalgpt.runs import folder as folder_module
from medicalgpt.runs.atomic import write_text

CONFIG = "train:\n  seed: 42  # default\n  learning_rate: 0.0002  # default\noutput_dir: runs/x  # override\n"
SHA = "0" * 64


def key_of(name: str, code: str = SHA, **parts: Any) -> RunKey:
    return RunKey("sft", {"name": name}, parts.get("data", {"data": SHA}), parts.get("base", {"base": SHA}), code)


def begin(path: Path, key: str = "key", config: str = CONFIG, resume: str = "auto") -> tuple[str, str | None, int]:
    with RunFolder(path) as run:
        start = run.begin(config, key_of(key), resume)  # type: ignore[arg-type]
        return start.status, start.checkpoint.name if start.checkpoint else None, start.step


def save(run: RunFolder, step: int, text: str = "weights") -> None:
    with run.saving(step) as folder:
        (folder / "adapter").mkdir()
        (folder / "adapter" / "model.safetensors").write_text(text)
        (folder / "trainer_state.json").write_text(json.dumps({"step": step}))


def finish(run: RunFolder, key: str = "key") -> None:
    record = Manifest(
        stage="sft", base="m", config_key=key_of(key).hash(), versions={}, seed=1,
        hashes={"data": SHA, "tokenizer": SHA, "base": SHA, "code": SHA},
        device="cpu", world_size=1, ledger={}, seconds=1, tokens=1, files={},
    )  # fmt: skip
    manifest.write(run.path, record)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_new_folder_is_fresh_and_holds_the_resolved_config(tmp_path: Path) -> None:
    assert begin(tmp_path / "a" / "b") == ("fresh", None, 0)
    assert (tmp_path / "a" / "b" / "config.resolved.yaml").read_text() == CONFIG


def test_the_same_key_resumes_from_the_newest_checkpoint_and_keeps_the_logs(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run:
        run.begin(CONFIG, key_of("key"))
        for step in (5, 10, 9):
            save(run, step)
        MetricsLog(run.metrics).append(10, {"train/loss": 1.0})
    changed = CONFIG.replace("runs/x", "runs/y")
    assert begin(tmp_path, config=changed) == ("resume", "step-10", 10)
    assert len(run.metrics.read_text().splitlines()) == 1
    assert run.config.read_text() == changed


def test_without_a_checkpoint_the_run_starts_over_with_empty_logs(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run:
        run.begin(CONFIG, key_of("key"))
        MetricsLog(run.metrics).append(1, {"train/loss": 1.0})
        SampleLog(run.samples).append(0, "q", "a")
    assert begin(tmp_path) == ("fresh", None, 0)
    assert not run.metrics.exists()
    assert not run.samples.exists()


def test_a_finished_run_is_left_untouched(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run:
        run.begin(CONFIG, key_of("key"))
        save(run, 3)
        finish(run)
    before = contents(tmp_path)
    assert begin(tmp_path, config="other: text\n") == ("finished", "step-3", 3)
    assert contents(tmp_path) == before


def test_another_key_is_refused_with_the_keys_that_differ(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run:
        run.begin(CONFIG, key_of("key"))
        save(run, 3)
    other = CONFIG.replace("seed: 42", "seed: 7").replace("runs/x", "runs/y")
    with pytest.raises(RunError, match=r"unfinished run of another configuration \(different: train.seed\)") as caught:
        begin(tmp_path, key="other", config=other)
    assert "choose another output_dir" in str(caught.value)
    with pytest.raises(RunError, match="settings are the same, so data, base model, template or code changed"):
        begin(tmp_path, key="other")
    finish(run)
    with pytest.raises(RunError, match="holds a finished run of another configuration"):
        begin(tmp_path, key="other", config=other)
    assert run.config.read_text() == CONFIG
    assert run.latest_checkpoint() == run.checkpoint_dir(3)


def test_resume_never_refuses_whatever_is_there_and_accepts_an_empty_folder(tmp_path: Path) -> None:
    assert begin(tmp_path, resume="never")[0] == "fresh"
    with pytest.raises(RunError, match=r"unfinished run and train\.resume is never"):
        begin(tmp_path, resume="never")
    finish(RunFolder(tmp_path))
    with pytest.raises(RunError, match=r"a finished run and train\.resume is never"):
        begin(tmp_path, resume="never")


def test_a_folder_with_foreign_files_is_never_entered(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    for resume in ("auto", "never"):
        with pytest.raises(RunError, match=r"not a run folder.*thesis\.docx.*choose a new or empty output_dir"):
            begin(tmp_path, resume=resume)
    assert contents(tmp_path) == {"thesis.docx": b"years of work"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(RunError, match="x is a file"):
        begin(tmp_path / "x")
    with pytest.raises(RunError, match=r"is a file|cannot be used"):
        begin(tmp_path / "x" / "below")


def test_a_process_killed_in_its_first_moment_leaves_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("123")
    (tmp_path / "..run.json.123.tmp").write_text("{")
    assert begin(tmp_path, resume="never")[0] == "fresh"
    assert not (tmp_path / "..run.json.123.tmp").exists()


def test_an_unreadable_run_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".run.json").write_text("{")
    with pytest.raises(RunError, match=r"\.run\.json is unreadable.*remove the folder"):
        begin(tmp_path)


@pytest.mark.parametrize("fault", ["missing", "shorter", "changed", "no complete.json", "torn complete.json"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(
    tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunFolder(tmp_path)
    save(run, 5)
    save(run, 10)
    weights = run.checkpoint_dir(10) / "adapter" / "model.safetensors"
    complete = run.checkpoint_dir(10) / "complete.json"
    if fault == "missing":
        weights.unlink()
    elif fault == "shorter":
        weights.write_text("weight")
    elif fault == "changed":
        weights.write_text("Weights")
    elif fault == "no complete.json":
        complete.unlink()
    else:
        complete.write_text(complete.read_text()[:20])
    with caplog.at_level(logging.WARNING):
        assert run.latest_checkpoint() == run.checkpoint_dir(5)
    assert len(caplog.records) == 1
    assert "step-10 is damaged" in caplog.text


def test_a_large_file_is_checked_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medicalgpt.runs.staging._HASH_UP_TO", 4)
    run = RunFolder(tmp_path)
    save(run, 5)
    listed = json.loads((run.checkpoint_dir(5) / "complete.json").read_text())
    assert listed["step"] == 5
    assert listed["files"]["adapter/model.safetensors"] == {"bytes": 7}
    assert run.latest_checkpoint() == run.checkpoint_dir(5)
    (run.checkpoint_dir(5) / "adapter" / "model.safetensors").write_text("weight")
    assert run.latest_checkpoint() is None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_while_saving_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    run = RunFolder(tmp_path)
    save(run, 5)
    before = contents(run.checkpoints)

    def full(self: Path, data: str) -> int:
        self.touch()
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(RunError) as caught:
            save(run, 10)
    assert "the checkpoint of step 10 could not be saved: the disk is full" in str(caught.value)
    assert str(run.checkpoint_dir(5)) in str(caught.value)
    assert "MB free" in str(caught.value)
    assert contents(run.checkpoints) == before
    assert run.latest_checkpoint() == run.checkpoint_dir(5)
    save(run, 10)
    assert run.latest_checkpoint() == run.checkpoint_dir(10)


def test_a_disk_that_turns_out_full_when_flushed_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path)
    save(run, 5)

    def full(fd: int) -> None:  # some file systems only notice when the data of a file is pushed to the disk
        if os.fstat(fd).st_size == len("weights"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"disk is full.*step-5 is intact"):
        save(run, 10)
    assert [p.name for p in run.checkpoints.iterdir()] == ["step-5"]


def test_the_first_save_that_fails_says_that_there_is_nothing_to_go_back_to(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match=r"ValueError: odd.*No checkpoint was saved before"),
        RunFolder(tmp_path).saving(1),
    ):
        raise ValueError("odd")


def test_ctrl_c_while_saving_stays_ctrl_c_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)

    def interrupted() -> None:
        with run.saving(1) as folder:
            (folder / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(run.checkpoints.iterdir()) == []


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    save(run, 5, "old")
    save(run, 5, "newer")
    assert (run.checkpoint_dir(5) / "adapter" / "model.safetensors").read_text() == "newer"
    assert [p.name for p in run.checkpoints.iterdir()] == ["step-5"]
    assert run.latest_checkpoint() == run.checkpoint_dir(5)


KILLED = """
import sys, time
from medicalgpt.runs import RunFolder, RunKey
run = RunFolder(sys.argv[1])
run.begin("a: 1\\n", RunKey("sft", {}, {}, {}, "0" * 64))
def save(step, wait):
    with run.saving(step) as folder:
        (folder / "a.bin").write_bytes(b"a" * 1000)
        if wait:
            print("half", flush=True)
            time.sleep(60)
        (folder / "b.bin").write_bytes(b"b" * 1000)
save(5, False)
save(10, True)
"""


def test_kill_9_in_the_middle_of_saving_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        run = RunFolder(tmp_path)
        with pytest.raises(RunError, match=f"in use by process {process.pid}"):
            run.begin("a: 1\n", RunKey("sft", {}, {}, {}, SHA))
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / "checkpoints" / ".step-10.tmp" / "a.bin").exists()
    with run:
        start = run.begin("a: 1\n", RunKey("sft", {}, {}, {}, SHA))
        assert (start.status, start.checkpoint) == ("resume", run.checkpoint_dir(5))
        assert [p.name for p in run.checkpoints.iterdir()] == ["step-5"]
        save(run, 10)
        assert run.latest_checkpoint() == run.checkpoint_dir(10)


@pytest.mark.parametrize(
    ("there", "left"),
    [
        ({"step-5": "new", ".step-5.old": "old"}, "new"),  # killed before the replaced one was deleted
        ({".step-5.old": "old", ".step-5.tmp": "new"}, "old"),  # killed between the two renames
        ({"step-5": "new", ".step-5.del": "x", ".step-9.del": "x", ".step-9.tmp": "x"}, "new"),
    ],
)
def test_begin_tidies_up_after_a_kill_while_replacing(tmp_path: Path, there: dict[str, str], left: str) -> None:
    run = RunFolder(tmp_path)
    begin(tmp_path)
    for name, text in there.items():
        save(run, 1000, text)
        os.rename(run.checkpoint_dir(1000), run.checkpoints / name)
    assert begin(tmp_path) == ("resume", "step-5", 5)
    assert [p.name for p in run.checkpoints.iterdir()] == ["step-5"]
    assert (run.checkpoint_dir(5) / "adapter" / "model.safetensors").read_text() == left


def test_prune_spares_the_best(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for step in (0, 1, 2, 3):
        save(run, step)
    assert run.latest_checkpoint() == run.checkpoint_dir(3)
    assert [p.name for p in run.prune(1, spare=0)] == ["step-2", "step-1"]
    save(run, 5)
    assert [p.name for p in run.prune(1, spare=3)] == []
    assert sorted(p.name for p in run.checkpoints.iterdir()) == ["step-3", "step-5"], "the start is worse than step 3"
    assert [p.name for p in run.prune(1)] == ["step-3"]


def test_no_run_goes_on_from_the_weights_before_step_1(tmp_path: Path) -> None:
    save(RunFolder(tmp_path), 0)
    assert RunFolder(tmp_path).latest_checkpoint() is None


def test_prune_counts_complete_checkpoints_only(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for step in (1, 2, 10, 20, 100):
        save(run, step)
    (run.checkpoint_dir(20) / "trainer_state.json").unlink()
    assert run.prune(5) == []
    assert [p.name for p in run.prune(2)] == ["step-2", "step-1"]
    # The damaged step-20 lies between the two kept ones: it may be wanted for a rescue, so it stays.
    assert sorted(p.name for p in run.checkpoints.iterdir()) == ["step-10", "step-100", "step-20"]
    assert [p.name for p in run.prune(1)] == ["step-20", "step-10"]
    with pytest.raises(ValueError, match="at least 1"):
        run.prune(0)


def test_publishing_replaces_the_model_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.publishing() as folder:
        (folder / "old.safetensors").write_text("old")

    def interrupted() -> None:
        with run.publishing() as folder:
            (folder / "new.safetensors").write_text("new")
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(RunError, match=r"model could not be saved: the disk is full"):
        interrupted()
    assert contents(tmp_path) == {"model/old.safetensors": b"old"}
    with run.publishing("model") as folder:
        (folder / "new.safetensors").write_text("new")
        assert contents(run.model) == {"old.safetensors": b"old"}
    assert contents(tmp_path) == {"model/new.safetensors": b"new"}


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", ".."])
def test_publishing_stays_inside_the_run_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a plain folder name"):
        RunFolder(tmp_path).publishing(name)


def test_publishing_over_a_link_leaves_what_it_points_to(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.model.symlink_to(elsewhere)
    with run.publishing() as folder:
        (folder / "new").touch()
    assert [p.name for p in run.model.iterdir()] == ["new"]
    assert [p.name for p in run.path.iterdir()] == ["model"]
    assert (elsewhere / "kept").exists()


# -- another version of the package --------------------------------------------------------------------------------------
NEW = "1" * 64


def stands(run: RunFolder, key: RunKey, config: str = CONFIG) -> tuple[str, str]:
    with run:
        start = run.begin(config, key)
        return start.status, start.note


def test_a_run_of_other_code_is_finished_but_not_continued(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run:
        run.begin(CONFIG, key_of("key"))
        save(run, 3)
    with pytest.raises(
        RunError, match=r"began it and the code that makes the numbers \(data, rendering, .*is another now"
    ):
        stands(run, key_of("key", NEW))
    assert stands(run, key_of("key")) == ("resume", "")
    finish(run)
    assert stands(run, key_of("key")) == ("finished", "")
    before = contents(tmp_path)
    status, note = stands(run, key_of("key", NEW))
    assert status == "finished"
    assert "whose code for the numbers is another; it stays as it is" in note
    assert contents(tmp_path) == before


@pytest.mark.parametrize("part", ["data", "base"])
@pytest.mark.parametrize("done", [False, True])
def test_other_data_or_another_base_is_another_run_whatever_the_code(tmp_path: Path, part: str, done: bool) -> None:
    run = RunFolder(tmp_path)
    with run:
        run.begin(CONFIG, key_of("key"))
    if done:
        finish(run)
    for code in (SHA, NEW):
        with pytest.raises(RunError, match=rf"another configuration \(the settings are the same, but not: {part}"):
            stands(run, key_of("key", code, **{part: {part: NEW}}))


def test_a_folder_of_the_version_before_has_one_hash_only(tmp_path: Path) -> None:
    """Its manifest's code hash still proves settings, data and base; its unfinished runs prove nothing and are refused."""
    (tmp_path / ".run.json").write_text(json.dumps({"config_key": key_of("key").hash(), "created": "2026-01-01"}))
    (tmp_path / "config.resolved.yaml").write_text(CONFIG)
    run = RunFolder(tmp_path)
    with pytest.raises(RunError, match="settings are the same, so data, base model, template or code changed"):
        stands(run, key_of("key", NEW))
    finish(run)
    assert stands(run, key_of("key", NEW))[0] == "finished"
    (tmp_path / ".run.json").unlink()
    assert stands(run, key_of("key", NEW))[0] == "finished"
    with pytest.raises(RunError, match="finished run of another configuration"):
        stands(run, key_of("other", NEW))


@pytest.mark.parametrize("parts", [True, False], ids=["with parts", "of the version before"])
def test_a_finished_run_stays_finished_when_the_schema_gets_another_key(tmp_path: Path, parts: bool) -> None:
    """Settings are read from its folder by today's schema; data and base must be proved by what the folder recorded."""

    def today(name: str = "key", data: str = SHA, **base: str) -> RunKey:
        settings = {"name": name, "new_key": 1}
        inputs = {"data": data, "tokenizer": SHA}
        return RunKey("sft", settings, inputs, {"base": SHA, **base}, NEW, lambda file: {"name": "key", "new_key": 1})

    then = RunKey("sft", {"name": "key"}, {"data": SHA, "tokenizer": SHA}, {"base": SHA}, SHA)
    run = RunFolder(tmp_path)
    with run:
        run.begin(CONFIG, then)
    if not parts:
        (tmp_path / ".run.json").unlink()
    finish(run)
    status, note = stands(run, today())
    assert status == "finished"
    assert "other names or defaults of settings" in note
    for other in (today("other"), today(data=NEW), today(base=NEW), today(adapter=SHA)):
        with pytest.raises(RunError, match="finished run of another configuration"):
            stands(run, other)


@pytest.mark.parametrize("what", ["checkpoint", "model"])
def test_the_lines_of_a_step_are_on_the_disk_before_what_relies_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A power cut right after a checkpoint must not take the metrics that led to it."""
    run, done = RunFolder(tmp_path), list[str]()
    MetricsLog(run.metrics).append(5, {"train/loss": 1.0})
    SampleLog(run.samples).append(5, "What is a fever?", "38 °C or more.")
    names = {path.stat().st_ino: path.name for path in (run.metrics, run.samples, tmp_path)}
    rename = os.rename

    def flushed(handle: int) -> None:
        done.append(names.get(os.fstat(handle).st_ino, "other"))

    def renamed(source: Path, target: Path) -> None:
        done.append(f"→ {Path(target).name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "rename", renamed)
    if what == "checkpoint":
        save(run, 5)
    else:
        with run.publishing() as folder:
            (folder / "weights").write_text("weights")
    there = done.index("→ step-5" if what == "checkpoint" else "→ model")
    for name in ("metrics.jsonl", "samples.jsonl", tmp_path.name):
        assert name in done[:there]


def test_a_file_that_replaces_another_is_in_its_folder_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = list[str]()
    replace = os.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: done.append("folder" if os.path.isdir(f"/dev/fd/{handle}") else "file")
    )
    monkeypatch.setattr(os, "replace", lambda a, b: done.append("replace") or replace(a, b))
    write_text(tmp_path / "manifest.json", "{}")
    assert done == ["file", "replace", "folder"]


# -- longer runs --------------------------------------------------------------------------------------------------------
def long_key(folder: Path, **train: object) -> RunKey:
    """The key of a run of this length; the folder's config.resolved.yaml tells of the one before."""
    return RunKey(
        "sft", {"train": {"max_steps": None, "epochs": 1.0, "seed": 1, **train}}, {"data": SHA}, {"base": SHA}, SHA,
        lambda config: yaml.safe_load(config.read_text()),
    )  # fmt: skip


def start_long(folder: Path, **train: object) -> StartState:
    key = long_key(folder, **train)
    with RunFolder(folder) as run:
        return run.begin(yaml.safe_dump(key.settings), key)


def finish_long(folder: Path, **train: object) -> None:
    record = Manifest(
        stage="sft", base="m", config_key=long_key(folder, **train).hash(), versions={}, seed=1,
        hashes={"data": SHA, "tokenizer": SHA, "base": SHA, "code": SHA},
        device="cpu", world_size=1, ledger={}, seconds=1, tokens=1, files={},
    )  # fmt: skip
    manifest.write(folder, record)


@pytest.mark.parametrize("finished", [True, False])
def test_more_steps_go_on(finished: bool, tmp_path: Path) -> None:
    start_long(tmp_path, max_steps=5)
    save(RunFolder(tmp_path), 5)
    if finished:
        finish_long(tmp_path, max_steps=5)
    found = start_long(tmp_path, max_steps=9, epochs=3.0)
    assert (found.status, found.step, found.stretched) == ("resume", 5, ())
    assert "schedule of the new length" in found.note
    assert not (tmp_path / "manifest.json").exists()
    again = start_long(tmp_path, max_steps=9, epochs=3.0)
    assert (again.status, again.step, again.note) == ("resume", 5, "")


def test_more_epochs_are_noted_with_their_steps(tmp_path: Path) -> None:
    start_long(tmp_path)
    save(RunFolder(tmp_path), 3)
    assert start_long(tmp_path, epochs=2.0).stretched == ((3, 1.0),)
    save(RunFolder(tmp_path), 6)
    assert start_long(tmp_path, epochs=2.5).stretched == ((3, 1.0), (6, 2.0))
    assert start_long(tmp_path, epochs=2.5).stretched == ((3, 1.0), (6, 2.0))


def test_more_patience_goes_on_under_the_same_schedule(tmp_path: Path) -> None:
    start_long(tmp_path, patience=2)
    save(RunFolder(tmp_path), 3)
    found = start_long(tmp_path, patience=None)
    assert (found.status, found.step, found.stretched) == ("resume", 3, ())
    assert found.note == "it is made longer by more train.patience"
    both = start_long(tmp_path / "both", patience=2, max_steps=5)
    assert both.status == "fresh"
    save(RunFolder(tmp_path / "both"), 5)
    assert "schedule of the new length" in start_long(tmp_path / "both", patience=3, max_steps=9).note


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"max_steps": 5}, {"max_steps": 4}),
        ({"max_steps": 5}, {"max_steps": 5, "epochs": 2.0}),
        ({"max_steps": 5}, {"epochs": 2.0}),
        ({}, {"max_steps": 5}),
        ({}, {"epochs": 0.5}),
        ({"max_steps": 5}, {"max_steps": 6, "seed": 2}),
        ({"patience": 3}, {"patience": 2}),
        ({"patience": None}, {"patience": 2}),
        ({"max_steps": 5, "patience": 2}, {"max_steps": 4, "patience": 3}),
        ({"max_steps": 5, "patience": 3}, {"max_steps": 6, "patience": 2}),
    ],
)
def test_nothing_else_makes_a_run_longer(before: dict[str, object], after: dict[str, object], tmp_path: Path) -> None:
    start_long(tmp_path, **before)
    save(RunFolder(tmp_path), 5)
    with pytest.raises(RunError, match="another configuration") as refused:
        start_long(tmp_path, **after)
    assert ("only a larger train.max_steps" in str(refused.value)) == ("seed" not in after)


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_of_other_code_is_not_made_longer_and_that_is_the_reason(finished: bool, tmp_path: Path) -> None:
    start_long(tmp_path, max_steps=5)
    if finished:
        finish_long(tmp_path, max_steps=5)
    later = replace(long_key(tmp_path, max_steps=9), code=NEW)
    with pytest.raises(RunError, match=r"began it and the code that makes the numbers \(data, .*is another now"):
        stands(RunFolder(tmp_path), later)


def test_a_crash_while_a_run_is_made_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_long(tmp_path, max_steps=5)
    save(RunFolder(tmp_path), 5)
    finish_long(tmp_path, max_steps=5)
    real = folder_module.write_text
    for broken in (".run.json", "config.resolved.yaml"):

        def die(path: Path, text: str, broken: str = broken) -> None:
            if path.name == broken:
                raise KeyboardInterrupt
            real(path, text)

        with monkeypatch.context() as patch:
            patch.setattr(folder_module, "write_text", die)
            with pytest.raises(KeyboardInterrupt):
                start_long(tmp_path, max_steps=9)
    assert start_long(tmp_path, max_steps=9).step == 5
