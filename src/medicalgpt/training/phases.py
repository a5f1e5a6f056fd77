"""What a run does before, between and after its steps: said while it is done, with progress, and timed.

A terminal gets a bar that goes when the phase is over, a log a line when it begins, now and then, and when it took long.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from medicalgpt.language import translated
from medicalgpt.runs.duration import duration

T = TypeVar("T")

_EVERY = 20.0  # seconds between two lines of a log
_LONG = 5.0  # seconds after which it is worth saying how long a phase took


@dataclass
class Phases:
    """Says and times phases on `console`; while a bar of steps is on the terminal, `tell` shows there what is done."""

    console: Console
    tell: Callable[[str], None] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each kind of phase how long the last one took."""
    spent: float = 0.0
    """Seconds of all phases so far."""

    @contextmanager
    def during(
        self, kind: str, what: str, total: int | None = None, bar: bool = True
    ) -> Iterator[Callable[[int], None]]:
        """Say `what` is done; yields a function that is told how many of `total` parts are done.

        Args:
            kind: under which name its time is kept.
            bar: False where what is done shows how far it is by itself: two bars on one terminal would hide each other.
        """
        what = translated(what)
        begun = time.monotonic()
        shown = bar and self.tell is None and self.console.is_terminal and not self.console.quiet
        with (self._bar if shown else self._lines)(what, total) as update:
            yield update
        self.seconds[kind] = time.monotonic() - begun
        self.spent += self.seconds[kind]
        if self.tell is None and self.seconds[kind] >= _LONG:
            self.say(f"{what}: took {duration(self.seconds[kind])}")

    def over(self, kind: str, what: str, parts: Iterable[T], total: int) -> Iterator[T]:
        """The parts of a phase, counted while they are gone through."""
        with self.during(kind, what, total) as update:
            for number, part in enumerate(parts, 1):
                yield part
                update(number)

    @contextmanager
    def _bar(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        counted = (BarColumn(), MofNCompleteColumn()) if total else ()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), *counted, TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)

    @contextmanager
    def _lines(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        begun = last = time.monotonic()

        def update(done: int) -> None:
            nonlocal last
            now = time.monotonic()
            if total and now - last >= _EVERY:
                last = now
                self.say(f"{what}: {done}/{total}, {duration((now - begun) / max(1, done) * (total - done))} left")

        self.say(f"{what} …")
        yield update

    def say(self, line: str) -> None:
        """A line beside the bar of steps, or on the console."""
        if self.tell is not None:
            self.tell(line)
        else:
            self.console.print(translated(line), highlight=False, markup=False)


@dataclass(frozen=True)
class Ahead:
    """What a run does beside its steps: held-out measurements and rounds of samples every so many steps, and at its end."""

    eval_every: int | None
    sample_every: int | None

    def seconds(self, step: int, steps: int, phases: Phases) -> float:
        """About how long all of it takes from `step` on, as long as the last of each kind took."""
        return sum(
            (_rounds(every, step, steps) + 1) * phases.seconds.get(kind, 0.0)
            for kind, every in (("held-out", self.eval_every), ("samples", self.sample_every))
        )


def _rounds(every: int | None, step: int, steps: int) -> int:
    """How many rounds come after `step` and before the last step."""
    return max(0, (steps - 1) // every - step // every) if every else 0
