"""A curation that is killed anywhere goes on with the same command, to the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.curating import contents, made, qa, write
from tests.marks import quick_and_slow

import medicalgpt
from medicalgpt.curation.cluster import DatatroveExecutor, Task
from medicalgpt.curation.local import LocalExecutor
from medicalgpt.errors import DataError, RunError

CODE = """
import sys
from pathlib import Path
import medicalgpt.curation.plan as plan
from tests.curating import made
plan._SMALL = 10
made({"rows": {"paths": [sys.argv[1]]}}, Path(sys.argv[2]), "scale.shard_rows=20", "scale.workers=2", "held_out.fraction=0.1")
"""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [qa(n, f"电话1381234{n:04d}") for n in range(400)] + [qa(n) for n in range(40)]
    return write(tmp_path_factory.mktemp("raw") / "raw.jsonl", rows)


@pytest.fixture(scope="module")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    return contents(made({"rows": {"paths": [str(raw)]}}, folder / "out", "held_out.fraction=0.1"))


@pytest.mark.parametrize("at", quick_and_slow([7], [0, 2, 4, 9, 12, 15, 18, 20, 23]))
def test_killed_it_goes_on_to_the_same_bytes(at: int, raw: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """Killed as soon as `at` tasks are done."""
    out = tmp_path / "out"
    command = [sys.executable, "-c", CODE, str(raw), str(out)]
    process = subprocess.Popen(command, start_new_session=True)
    done = 0
    while process.poll() is None and done < at:
        done = len(list(out.glob(".work/*/*/[0-9]*[0-9]")))
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it was done before it could be killed"
    assert not (out / "manifest.json").exists()
    subprocess.run(command, check=True, timeout=120)
    assert contents(out) == whole
    assert not (out / ".work").exists()


@pytest.mark.slow
def test_datatrove_does_the_same_tasks(
    raw: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medicalgpt.curation.plan._SMALL", 10)
    words = ("held_out.fraction=0.1", "scale.executor=datatrove", "scale.shard_rows=200", "scale.workers=2")
    assert contents(made({"rows": {"paths": [str(raw)]}}, tmp_path / "out", *words)) == whole
    bad = tmp_path / "bad.jsonl"
    bad.write_text(raw.read_text(encoding="utf-8") + '{"question": "13812345678"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.jsonl:441: ") as stopped:
        made({"rows": {"paths": [str(bad)]}}, tmp_path / "other", *words)
    assert "138" not in str(stopped.value)
    logs = [file for file in (tmp_path / "other").rglob("*") if file.is_file()]
    assert len(logs) > 3
    assert not [file for file in logs if b"1381234" in file.read_bytes()]


class Later:
    """An executor as a cluster's: `run` returns at once, and tasks are done by and by, all but `lost` ones."""

    def __init__(self, pipeline: list[Task], tasks: int, lost: int = 0) -> None:
        self._pipeline, self._ranks = pipeline, range(tasks - lost)

    def run(self) -> None:
        Thread(target=self._do, daemon=True).start()

    def _do(self) -> None:
        for rank in self._ranks:
            time.sleep(0.05)
            for task in self._pipeline:
                task(None, rank)


def on_a_cluster(raw: Path, out: Path, patience: float = 60, **more: Any) -> Path:
    sources = {"rows": {"paths": [str(raw)]}}
    executor = DatatroveExecutor(launch=lambda pipeline, tasks, logs: Later(pipeline, tasks, **more), patience=patience)
    return made(sources, out, "held_out.fraction=0.1", "scale.partitions=2", "scale.shard_rows=200", executor=executor)


@pytest.mark.slow
def test_tasks_of_a_cluster_are_waited_for(
    raw: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medicalgpt.curation.plan._SMALL", 10)
    monkeypatch.setattr("medicalgpt.curation.cluster._TICK", 0.01)
    monkeypatch.setattr("medicalgpt.curation.cluster._LAST_WORDS", 0.0)
    assert contents(on_a_cluster(raw, tmp_path / "out")) == whole
    with pytest.raises(
        RunError, match=r"3 of 3 tasks of the step map are not done, and none was for 0.2 s; look at the logs"
    ):
        on_a_cluster(raw, tmp_path / "lost", patience=0.2, lost=3)
    bad = tmp_path / "bad.jsonl"
    bad.write_text(raw.read_text(encoding="utf-8") + '{"question": "13812345678"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.jsonl:441: "):
        on_a_cluster(bad, tmp_path / "bad")


def test_the_front_door_takes_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medicalgpt.curation.cluster._TICK", 0.01)
    monkeypatch.setattr("medicalgpt.curation.cluster._LAST_WORDS", 0.0)
    steps: list[str] = []

    def launch(pipeline: list[Task], tasks: int, logs: str) -> Later:
        steps.append(pipeline[0].step)
        assert Path(logs).is_dir()
        return Later(pipeline, tasks)

    corpus = medicalgpt.curate(
        [write(tmp_path / "raw.jsonl", [qa(1), qa(2)])],
        output_dir=tmp_path / "out",
        overrides={"personal_data.detectors": ["patterns"]},
        launch=launch,
    )
    assert (corpus.report["kept"], steps) == (2, ["map", "exact", "asked", "near", "write"])


def test_a_row_that_cannot_be_used_stops_all_processes_with_its_place(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medicalgpt.curation.plan._SMALL", 10)
    lines = raw.read_text(encoding="utf-8").splitlines(keepends=True)
    bad = tmp_path / "bad.jsonl"
    bad.write_text("".join([*lines[:50], '{"question": "13812345678"}\n', *lines[50:]]), encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.jsonl:51: ") as stopped:
        made({"rows": {"paths": [str(bad)]}}, tmp_path / "out", "scale.shard_rows=20", "scale.workers=2")
    assert "138" not in str(stopped.value)


def test_a_helper_that_dies_is_told_of(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medicalgpt.curation.plan._SMALL", 10)
    ends = [sys.executable, "-c", "import sys; sys.exit(7)"]
    monkeypatch.setattr("medicalgpt.curation.local.python_running", lambda *_: ends)
    with pytest.raises(RunError, match=r"ended \(exit code 7\).*the same command goes on"):
        made({"rows": {"paths": [str(raw)]}}, tmp_path / "out", "scale.shard_rows=20", "scale.workers=2")


def test_without_a_number_there_is_a_process_for_each_core() -> None:
    assert LocalExecutor(None)._workers == len(os.sched_getaffinity(0))
