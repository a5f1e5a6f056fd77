"""What Slurm knows of a job: without asking it, a job that was canceled or ran out of time or memory would be waited for a day."""

import shutil
import subprocess
import time
from typing import Final

_SETTLE: Final = 60.0
"""Seconds in which what an ended job wrote must be seen here: a shared disk shows new folders late."""


class SlurmJob:
    """A job by its number; where that is None, as with other executors, or Slurm does not answer, nothing is known of it."""

    def __init__(self, number: object) -> None:
        known = isinstance(number, str | int) and shutil.which("squeue") is not None
        self.number = str(number) if known else None
        self._gone: float | None = None

    def ended(self) -> bool:
        """Whether none of its tasks has waited or run for `_SETTLE` seconds."""
        if self.number is None or self._waits_or_runs(self.number):
            self._gone = None
            return False
        self._gone = time.monotonic() if self._gone is None else self._gone
        return time.monotonic() - self._gone >= _SETTLE

    def _waits_or_runs(self, number: str) -> bool:
        said = _ask("squeue", "--noheader", f"--jobs={number}", "--format=%T")
        if said.returncode:  # ended jobs are known for some minutes only; a controller that is away is no answer
            return "Invalid job id" not in said.stderr
        return bool(said.stdout.strip())

    def cancel(self) -> None:
        """Take what is left of it out of the queue."""
        if self.number is not None:
            _ask("scancel", self.number)


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
