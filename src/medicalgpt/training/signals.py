"""Graceful stop: a signal is noted and obeyed at the next step's end, after a checkpoint; a second Ctrl-C ends the process at once.

SIGUSR1 is what batch systems send before a job's time is over (SLURM: `--signal=USR1@300`), SIGXCPU the soft limit of CPU
time, SIGHUP the end of the terminal or connection.
"""

import os
import signal
import time
from contextlib import suppress
from types import FrameType
from typing import Any, Final

import torch
from rich.console import Console

from medicalgpt.language import translated

_SAME_KEYSTROKE = 2.0  # seconds: a terminal sends Ctrl-C to every process, and torchrun then passes it on once more
_ALWAYS: Final = ("SIGINT", "SIGTERM")
_UNLESS_IGNORED: Final = ("SIGHUP", "SIGUSR1", "SIGXCPU")  # nohup ignores SIGHUP so that a run outlives its terminal


class StopSignal:
    """Listens between `listen` and `restore`. `number` is the signal that the processes of a run `agree` to obey."""

    def __init__(self, console: Console, unit: str = "step") -> None:
        self.console, self.unit = console, unit
        self.number: int | None = None
        self._heard: int | None = None
        self._at = 0.0
        self._before: dict[int, Any] = {}
        self._terminals: list[int] = []

    def listen(self) -> None:
        """Take the signals over, where this system has them."""
        self._terminals = [fd for fd in (1, 2) if os.isatty(fd)]
        for name in (*_ALWAYS, *_UNLESS_IGNORED):
            number = getattr(signal, name, None)
            if number is None or (name in _UNLESS_IGNORED and signal.getsignal(number) == signal.SIG_IGN):
                continue
            try:
                self._before[number] = signal.signal(number, self._caught)
            except ValueError:  # not in the main thread: the caller has to stop the run
                return

    def _caught(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._heard is None:
            self._heard, self._at = number, now
            self._leave_terminal()
            with suppress(OSError, RuntimeError):  # nobody is there to read it, or it came in the middle of a line
                self.console.print(
                    translated(
                        f"{signal.Signals(number).name}: stopping after this {self.unit}; a checkpoint is saved (Ctrl-C again to "
                        "stop at once)"
                    )
                )
        elif number == signal.SIGINT and self._is_another(now):
            raise KeyboardInterrupt

    def _is_another(self, now: float) -> bool:
        """Whether a Ctrl-C is one more, and not the first one, passed on by the launcher of several processes."""
        return "TORCHELASTIC_RUN_ID" not in os.environ or now - self._at > _SAME_KEYSTROKE

    def _leave_terminal(self) -> None:
        """Once a terminal has hung up, every word to it is an error, which would end the run before its checkpoint."""
        for fd in self._terminals:
            if not os.isatty(fd):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, fd)
                os.close(null)

    def agree(self, device: torch.device | None, due: bool = False) -> bool:
        """At the end of a step: `number` becomes the signal that any process has heard by now.

        Args:
            device: where the processes of a distributed run talk; None for a single process.
            due: whether this process's clock asks for a checkpoint.

        Returns:
            Whether any process's clock does.
        """
        heard = self._heard
        if device is not None:
            said = torch.tensor([heard or 0, int(due)], device=device)
            torch.distributed.all_reduce(said, torch.distributed.ReduceOp.MAX)
            heard, due = int(said[0]) or None, bool(said[1])
        self.number = heard
        return due

    def restore(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
