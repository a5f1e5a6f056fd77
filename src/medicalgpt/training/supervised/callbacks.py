"""What happens around the steps: the progress line, sample answers, checkpoints by time, and a clean stop on a signal."""

import time
from collections.abc import Callable
from typing import Any, final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from medicalgpt.language import translated
from medicalgpt.runs.duration import duration
from medicalgpt.training.live_report import LiveReport
from medicalgpt.training.phases import Ahead, Phases
from medicalgpt.training.save_clock import SaveClock
from medicalgpt.training.signals import StopSignal


@final
class ProgressCallback(TrainerCallback):
    """A bar on a terminal, a line every few seconds elsewhere: step, loss, tokens/s and time left, the end included."""

    def __init__(self, phases: Phases, stage: str, ahead: Ahead, every: float = 10.0) -> None:
        self.phases, self.console, self.stage, self.ahead, self.every = phases, phases.console, stage, ahead, every
        self.bar: Progress | None = None
        self.task: Any = None
        self.last, self.started, self.first = 0.0, 0.0, 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.started, self.first = time.monotonic() - self.phases.spent, state.global_step
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self.bar = Progress(*columns, console=self.console, transient=False)
            self.bar.start()
            self.task = self.bar.add_task(self.stage, total=state.max_steps, completed=state.global_step, note="")
            self.phases.tell = self._tell

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        note = f"loss {logs['loss']:.4f}  {logs['tokens_per_second']:.0f} tokens/s  {self._left(state)} left"
        if self.bar is not None:
            self.bar.update(self.task, completed=state.global_step, note=translated(note))
        elif time.monotonic() - self.last >= self.every or state.global_step == state.max_steps:
            self.last = time.monotonic()
            self.console.print(
                translated(f"{self.stage} step {state.global_step}/{state.max_steps}  {note}"), highlight=False
            )

    def _tell(self, line: str) -> None:
        """What is done between two steps, beside the bar."""
        if self.bar is not None:
            self.bar.update(self.task, note=line)

    def _left(self, state: TrainerState) -> str:
        """How long the steps that are left take, and what is measured and answered between and after them."""
        training = time.monotonic() - self.started - self.phases.spent
        steps = training / max(1, state.global_step - self.first) * (state.max_steps - state.global_step)
        return duration(steps + self.ahead.seconds(state.global_step, state.max_steps, self.phases))

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.phases.tell = None
        if self.bar is not None:
            self.bar.stop()


@final
class ReportCallback(TrainerCallback):
    """Keeps report.html up to date while the steps are taken."""

    def __init__(self, report: LiveReport) -> None:
        self.report = report

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.report.begin(state.global_step, state.max_steps)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.max_steps:  # the held-out numbers before step 1 are logged before the steps are counted
            self.report.now_and_then(state.global_step, state.max_steps)


@final
class StopCallback(TrainerCallback):
    """A signal finishes the step, saves a checkpoint and ends; a second Ctrl-C ends at once. The clock saves, too.

    In a distributed run all processes save and stop after the same step, whichever of them heard the signal, and when. With
    a clock the last step is saved as well, so that a finished run can be made longer.
    """

    def __init__(self, console: Console, save_minutes: float | None = None) -> None:
        self.heard, self.clock = StopSignal(console), SaveClock(save_minutes)

    @property
    def signal(self) -> int | None:
        """The signal that was heard."""
        return self.heard.number

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self.heard.listen()
        self.clock.restart()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        due = self.heard.agree(args.device if args.world_size > 1 else None, self.clock.due)
        last = state.global_step >= state.max_steps
        if due or (last and self.clock.minutes is not None):
            control.should_save = True
        if self.signal is not None and not last:
            control.should_save = control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.clock.restart()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.heard.restore()


@final
class SampleCallback(TrainerCallback):
    """Answers a few held-out prompts every so many steps."""

    def __init__(self, every: int | None, answer: Callable[[int], None]) -> None:
        self.every, self.answer = every, answer

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if self.every and state.global_step % self.every == 0 and state.global_step < state.max_steps:
            self.answer(state.global_step)


@final
class RateCallback(TrainerCallback):
    """The first step after a checkpoint takes its learning rate from this run's schedule.

    Otherwise it would take the one that the checkpoint's optimizer had for it, which is that of the old length where the run was
    made longer, such as 0 at its end.
    """

    def on_train_begin(
        self, args: Any, state: Any, control: Any, optimizer: Any = None, lr_scheduler: Any = None, **_: Any
    ) -> None:
        parts = zip(optimizer.param_groups, lr_scheduler.base_lrs, lr_scheduler.lr_lambdas, strict=True)
        for group, peak, factor in parts:
            group["lr"] = peak * factor(lr_scheduler.last_epoch)
        lr_scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]
