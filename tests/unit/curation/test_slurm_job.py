"""What the curation asks Slurm, of a `squeue` and `scancel` that say what a real one said (22.05)."""

import os
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from tests.curating import contents, made, qa, write

from medicalgpt.curation.cluster import DatatroveExecutor, Task
from medicalgpt.curation.slurm_job import SlurmJob
from medicalgpt.curation.steps import Work, run_task
from medicalgpt.errors import DataError, RunError

SOURCES = ("scale.shard_rows=20", "held_out.fraction=0.1")
INVALID = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
AWAY = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("medicalgpt.curation.slurm_job._SETTLE", 0.0)
    monkeypatch.setattr("medicalgpt.curation.cluster._TICK", 0.01)
    monkeypatch.setattr("medicalgpt.curation.cluster._LAST_WORDS", 0.0)
    monkeypatch.setattr("medicalgpt.curation.plan._SMALL", 10)
    program(folder, "scancel", f'echo "$@" >> {folder}/canceled')
    return folder


def program(folder: Path, name: str, text: str) -> None:
    place = folder / name
    place.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    place.chmod(0o755)


@pytest.mark.parametrize(
    ("said", "ended"),
    [("echo RUNNING", False), ("echo PENDING; echo RUNNING", False), ("", True), (INVALID, True), (AWAY, False)],
)
def test_a_job_has_ended_when_slurm_says_so(said: str, ended: bool, bin_: Path) -> None:
    program(bin_, "squeue", said)
    assert SlurmJob("7").ended() is ended


def test_what_an_ended_job_wrote_may_be_seen_late(bin_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bin_, "squeue", "")
    monkeypatch.setattr("medicalgpt.curation.slurm_job._SETTLE", 3600.0)
    job = SlurmJob("7")
    assert not job.ended()
    assert not job.ended()


def test_other_executors_have_no_job(bin_: Path) -> None:
    program(bin_, "squeue", "exit 3")
    assert not SlurmJob(None).ended()
    SlurmJob(None).cancel()
    assert not (bin_ / "canceled").exists()


class Queued:
    """An executor as Slurm's: it has a job, and `run` does only so many of its tasks."""

    def __init__(self, pipeline: list[Task], tasks: int) -> None:
        self.pipeline, self.tasks, self.job_id = pipeline, tasks, "42"

    def run(self) -> None:
        for rank in range(self.tasks):
            self.pipeline[0](None, rank)


def curated(raw: Path, out: Path, launch: Any) -> Path:
    executor = DatatroveExecutor(launch=launch, patience=60)
    return made({"rows": {"paths": [str(raw)]}}, out, *SOURCES, executor=executor)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write(tmp_path / "raw.jsonl", [qa(n) for n in range(60)])


def test_a_canceled_job_is_told_at_once_and_the_same_call_goes_on(raw: Path, tmp_path: Path, bin_: Path) -> None:
    program(bin_, "squeue", "")
    with pytest.raises(
        RunError,
        match=r"2 of 3 tasks of the step map are not done, and their job 42 has ended: it was canceled.* goes on",
    ):
        curated(raw, tmp_path / "out", lambda pipeline, tasks, logs: Queued(pipeline, 1))
    curated(raw, tmp_path / "out", lambda pipeline, tasks, logs: Queued(pipeline, tasks))
    whole = made({"rows": {"paths": [str(raw)]}}, tmp_path / "whole", *SOURCES)
    assert contents(tmp_path / "out") == contents(whole)


def test_the_queue_is_rid_of_a_step_that_failed(raw: Path, tmp_path: Path, bin_: Path) -> None:
    program(bin_, "squeue", "echo PENDING")
    raw.write_text(raw.read_text(encoding="utf-8") + '{"question": "?"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"raw\.jsonl:61: "):
        curated(raw, tmp_path / "out", lambda pipeline, tasks, logs: Queued(pipeline, tasks))
    assert (bin_ / "canceled").read_text(encoding="utf-8") == "42\n"


def test_jobs_that_end_late_leave_nothing_behind(
    raw: Path, tmp_path: Path, bin_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """datatrove writes a task's statistics after the task is done, and makes missing folders."""
    program(bin_, "squeue", "")
    monkeypatch.setattr("medicalgpt.curation.cluster._LAST_WORDS", 30.0)

    def launch(pipeline: list[Task], tasks: int, logs: str) -> Queued:
        def last_words() -> None:
            for rank in range(tasks):
                for kind in ("stats", "completions"):
                    place = Path(logs) / kind / f"{rank:05d}"
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.touch()

        late.append(Timer(2.0 if pipeline[0].step == "write" else 0.0, last_words))
        late[-1].start()
        return Queued(pipeline, tasks)

    late: list[Timer] = []
    curated(raw, tmp_path / "out", launch)
    for timer in late:
        timer.join()
    assert not (tmp_path / "out" / ".work").exists()


def test_two_machines_may_do_the_same_task_with_the_same_process_id(
    raw: Path, tmp_path: Path, bin_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that was submitted again beside the first: neither takes the other's half-written folder."""
    monkeypatch.setattr("medicalgpt.curation.steps.STEPS", {"map": twice})
    program(bin_, "squeue", "")
    with pytest.raises(RunError, match="1 of 3 tasks of the step map"):
        curated(raw, tmp_path / "out", lambda pipeline, tasks, logs: Queued(pipeline, 2))
    (work,) = (tmp_path / "out" / ".work").iterdir()
    assert [p.read_text(encoding="utf-8") for p in sorted(work.glob("map/*/half"))] == ["half, whole"] * 2


def twice(work: Work, number: int, folder: Path) -> None:
    """A step in the midst of which another machine does the same."""
    (folder / "half").write_text("half", encoding="utf-8")
    if len(list(folder.parent.glob(f".{number:06d}.*"))) == 1:
        run_task(work, "map", number)
    (folder / "half").write_text((folder / "half").read_text(encoding="utf-8") + ", whole", encoding="utf-8")


def test_tasks_write_for_their_owner_alone(raw: Path, tmp_path: Path, bin_: Path) -> None:
    """A cluster's workers have a umask of their own."""

    def launch(pipeline: list[Task], tasks: int, logs: str) -> Queued:
        os.umask(0o022)
        return Queued(pipeline, tasks)

    before = os.umask(0o022)
    try:
        out = curated(raw, tmp_path / "out", launch)
    finally:
        os.umask(before)
    assert {part.stat().st_mode & 0o777 for part in out.glob("train/*/*.jsonl")} == {0o600}
