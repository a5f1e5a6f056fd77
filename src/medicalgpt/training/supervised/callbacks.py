"""What happens around the steps: the progress line, sample answers, and a clean stop on Ctrl-C or SIGTERM."""

import time
from collections.abc import Callable
from typing import Any, final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback

from medicalgpt.training.signals import StopSignal


@final
class ProgressCallback(TrainerCallback):
    """A bar on a terminal, a line every few seconds elsewhere: step, loss, tokens/s and time left."""

    def __init__(self, console: Console, stage: str, every: float = 10.0) -> None:
        self.console, self.stage, self.every = console, stage, every
        self.bar: Progress | None = None
        self.task: Any = None
        self.last, self.started, self.first = 0.0, 0.0, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started, self.first = time.monotonic(), state.global_step
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(),
            )
            self.bar = Progress(*columns, console=self.console, transient=False)
            self.bar.start()
            self.task = self.bar.add_task(self.stage, total=state.max_steps, completed=state.global_step, note="")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        note = f"loss {logs['loss']:.4f}  {logs['tokens_per_second']:.0f} tokens/s"
        if self.bar is not None:
            self.bar.update(self.task, completed=state.global_step, note=note)
        elif time.monotonic() - self.last >= self.every or state.global_step == state.max_steps:
            self.last = time.monotonic()
            done = max(1, state.global_step - self.first)
            left = (self.last - self.started) / done * (state.max_steps - state.global_step)
            self.console.print(
                f"{self.stage} step {state.global_step}/{state.max_steps}  {note}  {left:.0f} s left", highlight=False
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.bar is not None:
            self.bar.stop()


@final
class StopCallback(TrainerCallback):
    """Ctrl-C or SIGTERM finishes the step, saves a checkpoint and ends; a second Ctrl-C ends at once.

    In a distributed run all processes stop after the same step, whichever of them heard the signal, and when.
    """

    def __init__(self, console: Console) -> None:
        self.heard = StopSignal(console)

    @property
    def signal(self) -> int | None:
        """The signal that was heard."""
        return self.heard.number

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.heard.listen()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if args.world_size > 1:
            self.heard.agree(args.device)
        if self.signal is not None and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.heard.restore()


@final
class SampleCallback(TrainerCallback):
    """Answers a few held-out prompts every so many steps."""

    def __init__(self, every: int | None, answer: Callable[[int], None]) -> None:
        self.every, self.answer = every, answer

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.every and state.global_step % self.every == 0 and state.global_step < state.max_steps:
            self.answer(state.global_step)
