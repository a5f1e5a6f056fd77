"""Two processes never train into one folder, and a dead one never blocks it."""

import errno
import fcntl
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from medicalgpt.errors import RunError
from medicalgpt.runs import RunFolder, RunKey
from medicalgpt.runs.lock import FolderLock

KEY = RunKey("sft", {}, {}, {}, "0" * 64)
HOLDER = """
import os, sys, time
from medicalgpt.runs import RunFolder, RunKey
run = RunFolder(sys.argv[1])
run.begin("a: 1\\n", RunKey("sft", {}, {}, {}, "0" * 64))
if sys.argv[2] == "alone":
    print(0, flush=True)
elif os.fork() == 0:
    print(os.getpid(), flush=True)  # said by the child itself: by now it runs and has done what it does after a fork
time.sleep(60)
"""


@pytest.mark.parametrize("way", ["alone", "fork"])
def test_a_second_process_is_told_who_holds_the_folder_and_death_frees_it(tmp_path: Path, way: str) -> None:
    run = RunFolder(tmp_path)
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path, way], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            with pytest.raises(RunError, match=f"in use by process {process.pid}: wait until it ends"):
                run.begin("a: 1\n", KEY)
            process.kill()
            process.wait()
            # The forked worker is still alive here; it must not keep the folder.
            with run:
                assert run.begin("a: 1\n", KEY).status == "fresh"
        finally:
            if way == "fork":
                os.kill(child, 9)


def test_close_frees_the_folder_within_one_process(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    first.begin("a: 1\n", KEY)
    with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
        second.begin("a: 1\n", KEY)
    first.close()
    first.close()
    with second:
        second.begin("a: 1\n", KEY)
    assert (tmp_path / ".lock").read_text() == ""


def test_a_begin_that_fails_frees_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, text: str) -> None:
        raise RunError("no")

    run = RunFolder(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("medicalgpt.runs.folder.write_text", broken)
        with pytest.raises(RunError, match="no"):
            run.begin("a: 1\n", KEY)
    with RunFolder(tmp_path) as other:
        assert other.begin("a: 1\n", KEY).status == "fresh"


def test_a_file_system_without_locks_gives_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unsupported(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with caplog.at_level(logging.WARNING), RunFolder(tmp_path) as run:
        assert run.begin("a: 1\n", KEY).status == "fresh"
    assert "start only one process" in caplog.text


def test_one_holder_cannot_take_its_folder_twice_and_any_thread_may_give_it_back(tmp_path: Path) -> None:
    lock, other = FolderLock(tmp_path / ".lock"), FolderLock(tmp_path / ".lock")
    lock.acquire()
    with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
        lock.acquire()
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    other.acquire()
    other.release()
