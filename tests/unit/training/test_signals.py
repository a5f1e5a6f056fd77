"""Signals are noted, agreed on and obeyed; the clock asks for checkpoints."""

import io
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from medicalgpt.training.save_clock import SaveClock
from medicalgpt.training.signals import StopSignal

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU)


@pytest.fixture(autouse=True)
def _hang_ups_are_heard() -> Iterator[None]:
    """Also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def stop() -> Iterator[StopSignal]:
    before = [signal.getsignal(number) for number in NUMBERS]
    found = StopSignal(Console(file=io.StringIO(), soft_wrap=True))
    yield found
    found.restore()
    assert [signal.getsignal(number) for number in NUMBERS] == before


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_obeyed_at_the_end_of_the_step(number: signal.Signals, stop: StopSignal) -> None:
    stop.listen()
    signal.raise_signal(number)
    assert stop.number is None, "the step is not over"
    assert stop.agree(None) is False
    assert stop.number == number
    assert f"{number.name}: stopping after this step" in stop.console.file.getvalue()  # type: ignore[attr-defined]


def test_a_second_ctrl_c_ends_at_once(stop: StopSignal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    stop.listen()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_launcher_that_passes_ctrl_c_on_is_no_second_one(stop: StopSignal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    stop.listen()
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    stop.agree(None)
    assert stop.number == signal.SIGINT


def test_what_nohup_ignores_stays_ignored(stop: StopSignal) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop.listen()
        signal.raise_signal(signal.SIGHUP)
        stop.agree(None)
        assert stop.number is None
        stop.restore()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_message_that_nobody_can_read_ends_nothing(stop: StopSignal) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

    stop.console = Console(file=Broken())
    stop.listen()
    signal.raise_signal(signal.SIGUSR1)
    stop.agree(None)
    assert stop.number == signal.SIGUSR1


# The process's terminal goes away while it works: SIGHUP comes, and from then on every word to the terminal is an error.
_ON_A_TERMINAL = """
import os, signal, sys, time
from rich.console import Console
from medicalgpt.training.signals import StopSignal
stop = StopSignal(Console(file=sys.stderr))
stop.listen()
print("ready", flush=True)
while stop.number is None:  # signal.pause() would wait for a second signal where the first came before it
    time.sleep(0.01)
    stop.agree(None)
print("the end", file=sys.stderr, flush=True)
os.write(1, b"the end")
sys.stdout.flush()
sys.exit(128 + stop.number)
"""


def test_a_terminal_that_hangs_up(tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", _ON_A_TERMINAL])
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 1000)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP


# Rank 1 hears the signal, only the clock of rank 0 asks for a checkpoint: both processes learn of both.
_TWO = """
import io, signal, sys, torch
from rich.console import Console
from medicalgpt.training.signals import StopSignal
rank, file = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
stop = StopSignal(Console(file=io.StringIO()))
stop.listen()
said = [stop.agree(torch.device("cpu"), due=rank == 0), stop.number]
if rank == 1:
    signal.raise_signal(signal.SIGUSR1)
said += [stop.agree(torch.device("cpu")), stop.number]
print(said)
"""


def test_two_processes_agree(tmp_path: Path) -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _TWO, str(rank), str(tmp_path / "meet")], stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[0].strip() for process in both]
    assert said == [f"[True, None, False, {int(signal.SIGUSR1)}]"] * 2


def test_the_clock_counts_from_the_last_checkpoint() -> None:
    now = 100.0
    clock, off = SaveClock(10, lambda: now), SaveClock(None, lambda: now)
    now += 599
    assert not clock.due
    now += 1
    assert clock.due
    assert not off.due
    clock.restart()
    assert not clock.due
    now += 600
    assert clock.due
