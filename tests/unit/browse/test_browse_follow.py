"""Following a run: old lines, new lines, a log that is rewound, and the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.run_folders import begun, finished

from medicalgpt.browse import follow as following
from medicalgpt.browse.follow import follow
from medicalgpt.browse.info import RunInfo
from medicalgpt.errors import RunError
from medicalgpt.runs import MetricsLog, RunFolder
from medicalgpt.runs.lock import FolderLock


def steps(found: Iterator[object]) -> list[object]:
    return [one["step"] if isinstance(one, dict) else one.state for one in found if isinstance(one, dict | RunInfo)]


def test_a_run_that_is_over_shows_its_last_lines(tmp_path: Path) -> None:
    run = finished(tmp_path / "a")
    assert steps(follow(run, 2)) == [3, 3, "finished"]
    assert steps(follow(run, 0)) == [0, 1, 2, 3, 3, "finished"]
    assert steps(follow(begun(tmp_path / "b"), 1)) == [3, "interrupted"]


def test_lines_come_as_they_are_written_until_the_lock_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(tmp_path / "a")
    path = RunFolder(run).metrics
    lock = FolderLock(run / ".lock")
    lock.acquire()
    happens = iter(
        [
            lambda: MetricsLog(path).append(4, {"train/loss": 1.0}),
            lambda: path.open("ab").write(b'{"step": 5, "train/'),  # half a line is none
            lambda: path.open("ab").write(b'loss": 1}\n{"step": 6, "train/loss": 1}\n'),
            lambda: MetricsLog(path).rewind(4),  # it went on from a checkpoint
            lambda: [MetricsLog(path).append(step, {"train/loss": 0.5}) for step in (5, 6, 7)],
            lambda: (MetricsLog(path).rewind(5), MetricsLog(path).append(6, {"train/loss": 0.25})),  # between two looks
            lambda: (MetricsLog(path).append(7, {"train/loss": 0.1}), lock.release()),
        ]
    )
    monkeypatch.setattr(following.time, "sleep", lambda pause: next(happens)())
    found = list(follow(run, 1, pause=0))
    assert steps(iter(found)) == [3, 4, 5, 6, 5, 6, 7, 6, 7, "interrupted"]
    assert [one["train/loss"] for one in found[-3:-1] if isinstance(one, dict)] == [0.25, 0.1]


def test_a_log_that_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(tmp_path / "a")
    path = RunFolder(run).metrics
    path.unlink()
    lock = FolderLock(run / ".lock")
    lock.acquire()
    happens = iter([lambda: None, lambda: (MetricsLog(path).append(0, {"eval/loss": 1.0}), lock.release())])
    monkeypatch.setattr(following.time, "sleep", lambda pause: next(happens)())
    assert steps(follow(run)) == [0, "interrupted"]


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run folder"):
        next(follow(tmp_path))
    with pytest.raises(RunError, match="is no run folder"):
        next(follow(tmp_path / "none"))
