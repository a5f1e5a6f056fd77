"""An engine in a process of its own: Ctrl-C does not reach it, and its end is told, in whatever way it came."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from queue import Queue

import pytest

from medicalgpt.generate.backends.engine_process import started, tell_of_end

# Its engine works for a second, as one that lets answers finish does.
PROGRAM = """
import multiprocessing, sys, time
from medicalgpt.generate.backends.engine_process import started

def work(begun):
    begun.set()
    time.sleep(1)

def begin():
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=work, args=(begun,))
    process.start()
    assert begun.wait(60)
    return process

if __name__ == "__main__":
    process, processes = started(begin)
    assert processes == [process]
    try:
        print("up", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        process.join()
        print("engine", process.exitcode, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="this system has no signal masks")
def test_ctrl_c_reaches_this_process_and_not_the_engine(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "up\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.communicate(timeout=60)[0] == "engine 0\n"
    finally:
        process.kill()
        process.wait()


def test_what_fails_at_the_start_is_raised() -> None:
    def make() -> None:
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        started(make)


def test_signals_of_this_thread_stay_as_they_were() -> None:
    assert started(lambda: 7) == (7, [])
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_an_engine_that_is_killed_says_nothing_and_is_told_of() -> None:
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    process.start()
    answers: Queue[Exception] = Queue()
    lost = RuntimeError("ended")
    tell_of_end([process], answers, lost)
    assert answers.empty()
    process.kill()
    assert answers.get(timeout=30) is lost
    process.join()
