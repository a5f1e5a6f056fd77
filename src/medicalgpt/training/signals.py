"""Graceful stop: Ctrl-C and SIGTERM are noted and obeyed after the current step; a second Ctrl-C ends the process at once."""

import signal
import time
from types import FrameType
from typing import Any

import torch
from rich.console import Console

_SAME_KEYSTROKE = 2.0  # seconds: a terminal sends Ctrl-C to every process, and torchrun then passes it on once more


class StopSignal:
    """Listens between `listen` and `restore`. `number` is the signal that was heard, by any process once they `agree`."""

    def __init__(self, console: Console, unit: str = "step") -> None:
        self.console, self.unit = console, unit
        self.number: int | None = None
        self._heard = 0.0
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """Take the signals over."""
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._caught)
            except ValueError:  # not in the main thread: the caller has to stop the run
                return

    def _caught(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is None:
            self.number, self._heard = number, now
            self.console.print(f"stopping after this {self.unit}; a checkpoint is saved (Ctrl-C again to stop at once)")
        elif number == signal.SIGINT and now - self._heard > _SAME_KEYSTROKE:
            raise KeyboardInterrupt

    def agree(self, device: torch.device) -> None:
        """All processes of a distributed run learn of a signal that one of them heard."""
        heard = torch.tensor(self.number or 0, device=device)
        torch.distributed.all_reduce(heard, torch.distributed.ReduceOp.MAX)
        self.number = int(heard) or None

    def restore(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
