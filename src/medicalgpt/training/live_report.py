"""The report of a run that is not finished: written when training begins, now and then, and when it is interrupted."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medicalgpt.errors import RunError
from medicalgpt.language import translated
from medicalgpt.runs import manifest, metrics, report
from medicalgpt.training.context import AnyContext
from medicalgpt.training.publish import run_facts

_PAUSE = 30.0  # seconds between two reports
_SHARE = 50  # and that many times what the last one took, so that reports never take over two per cent of a run


@dataclass
class LiveReport:
    """Writes report.html of the process that speaks for the run; on other processes it does nothing.

    A report is not worth stopping a run for: one that cannot be written is said once.
    """

    ctx: AnyContext
    parents: tuple[Path, ...] = ()
    _last: float = field(default_factory=time.perf_counter)
    _took: float = 0.0
    _failed: bool = False

    def begin(self, step: int, steps: int) -> None:
        """The first report, before there is a curve."""
        self._write("running", step, steps, curves=step > 0)

    def now_and_then(self, step: int, steps: int) -> None:
        """A report, unless the last one was just written."""
        if time.perf_counter() - self._last >= max(_PAUSE, _SHARE * self._took):
            self._write("running", step, steps)

    def interrupted(self, step: int, steps: int) -> None:
        """The report that a run leaves which was told to stop."""
        self._write("interrupted", step, steps)

    def _write(self, status: Literal["running", "interrupted"], step: int, steps: int, curves: bool = True) -> None:
        if self.ctx.rank != 0 or self._failed:
            return
        begun = time.perf_counter()
        try:
            before, after, tokens = _measured(self.ctx.folder.metrics)
            facts = run_facts(self.ctx, tokens, before, after, self.parents)
            draft = manifest.Draft(**facts, status=status, step=step, steps=steps)
            report.write_draft(self.ctx.folder.path, draft, curves=curves)
        except RunError as error:
            self._failed = True
            self.ctx.console.print(
                translated(f"the report is not kept up to date: {error}"), highlight=False, markup=False
            )
        self._last = time.perf_counter()
        self._took = self._last - begun


def _measured(path: Path) -> tuple[dict[str, float], dict[str, float], int]:
    """The first and last held-out numbers of a run's log, and the tokens trained on."""
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    tokens = 0
    for line in metrics.read(path) if path.is_file() else ():
        tokens = int(line.get("train/tokens") or tokens)
        if found := {key: value for key, value in line.items() if key.startswith("eval/")}:
            before, after = before or found, found
    return before, after, tokens
