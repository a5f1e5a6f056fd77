"""Folders of work in progress go with their process, and those of killed ones at the next start; never those of the living."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medicalgpt.disk import scratch as module
from medicalgpt.disk.scratch import scratch, sweep

_WORK = """
import sys
from pathlib import Path
from medicalgpt.disk.scratch import scratch
with scratch(Path(sys.argv[1]), ".build-") as folder:
    (folder / "ids.bin").write_bytes(b"half")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator["tuple[subprocess.Popen[str], Path]"]:
    """A process at work in a scratch folder, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WORK, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def age(folder: Path, hours: float) -> None:
    """Nothing in the folder changed for so long."""
    for path in (*folder.rglob("*"), folder):
        os.utime(path, times=(time.time() - 3600 * hours,) * 2)


def test_it_is_gone_when_the_block_ends_well_or_not(tmp_path: Path) -> None:
    with scratch(tmp_path, ".build-") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "ids.bin").write_bytes(b"1")
    with pytest.raises(KeyError), scratch(tmp_path, ".build-"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_that_of_a_killed_process_goes_at_the_next_start(
    worker: "tuple[subprocess.Popen[str], Path]", tmp_path: Path
) -> None:
    process, folder = worker
    age(folder, 48)
    assert sweep(tmp_path, ".build-") == [], "its process lives"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / "ids.bin").is_file()
    with scratch(tmp_path, ".build-") as mine:
        assert not folder.exists()
        assert list(tmp_path.iterdir()) == [mine]


def test_that_of_another_machine_goes_after_a_day_without_a_change(
    worker: "tuple[subprocess.Popen[str], Path]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock looks free where a file system keeps locks on one machine."""
    process, folder = worker
    process.kill()
    process.wait()
    monkeypatch.setattr(module, "_machine", lambda: "another start of another machine")
    assert sweep(tmp_path, ".build-") == []
    age(folder, 25)
    (folder / "ids.bin").write_bytes(b"more")
    assert sweep(tmp_path, ".build-") == [], "it grew a moment ago"
    age(folder, 25)
    assert sweep(tmp_path, ".build-") == [folder]
    assert not folder.exists()


def test_one_without_a_lock_is_of_an_older_version_or_just_being_made(tmp_path: Path) -> None:
    (tmp_path / ".build-old" / "train").mkdir(parents=True)
    (tmp_path / "build-finished").mkdir()
    assert sweep(tmp_path, ".build-") == []
    age(tmp_path / ".build-old", 25)
    assert sweep(tmp_path, ".build-") == [tmp_path / ".build-old"]
    assert (tmp_path / "build-finished").is_dir()


def test_without_locks_only_rest_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(38, "Function not implemented")

    (tmp_path / ".build-x").mkdir()
    (tmp_path / ".build-x" / ".lock").touch()
    monkeypatch.setattr(module.FileLock, "acquire", none)
    with scratch(tmp_path, ".build-") as folder:
        assert folder.is_dir()
        assert sweep(tmp_path, ".build-") == []
        age(tmp_path / ".build-x", 25)
        assert sweep(tmp_path, ".build-") == [tmp_path / ".build-x"]
