"""How far the rows are: a bar on a terminal, a plain line now and then elsewhere, nothing for what is quickly done."""

import time
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from medicalgpt.language import translated

QUIET: Final = 2.0
"""Seconds until anything is said."""
EVERY: Final = 30.0
"""Seconds between plain lines."""


class Progress:
    """Rows, rows a second, and the time left where the number of rows is known: by their lines, or from an earlier pass.

    Args:
        console: where it is shown; None: nowhere.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console
        self._total: dict[str, int] = {}
        self._bar: Bar | None = None
        self._task = TaskID(0)
        self._what, self._rows, self._began, self._said = "", 0, 0.0, 0.0

    def expect(self, name: str, rows: int | None) -> None:
        """About how many rows the passes over `name` will have, where that is known."""
        if rows is not None:
            self._total[name] = rows

    def begin(self, what: str) -> None:
        """A pass over the rows of `what` ("train: reading") begins."""
        self._what, self._rows = what, 0
        self._began = time.monotonic()
        self._said = self._began

    def count(self, rows: int) -> None:
        """So many more rows are done."""
        self._rows += rows
        if self.console is not None:
            self._show(self.console)

    def end(self) -> None:
        """The pass is over."""
        self._total[self._of] = self._rows
        if self._bar is not None:
            self._bar.update(self._task, completed=self._rows, total=self._rows, note=self._note())
        self.close()

    def close(self) -> None:
        """Take the bar off."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, text: str) -> None:
        """A word about how it goes on."""
        if self.console is not None:
            self.console.print(translated(text), highlight=False, markup=False, soft_wrap=True)

    @property
    def _of(self) -> str:
        return self._what.partition(":")[0]

    def _note(self) -> str:
        rate = self._rows / max(time.monotonic() - self._began, 1e-9)
        return f"{self._rows} rows, {rate:.0f} rows/s"

    def _show(self, console: Console) -> None:
        now = time.monotonic()
        if now - self._began < QUIET:
            return
        total = self._total.get(self._of)
        if not console.is_terminal:
            if now - self._said >= EVERY:
                self._said = now
                left = (
                    (now - self._began) / self._rows * (total - self._rows) if total and total >= self._rows else None
                )
                console.print(
                    translated(f"{self._what} {self._note()}" + (f", {left:.0f} s left" if left is not None else "")),
                    highlight=False,
                )
            return
        if self._bar is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(),
            )
            self._bar = Bar(*columns, console=console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(translated(self._what), total=total, note="")
        self._bar.update(self._task, completed=self._rows, note=translated(self._note()))
