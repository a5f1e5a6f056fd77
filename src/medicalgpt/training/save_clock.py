"""When the time has come for a checkpoint: a run that is killed outright loses minutes, however long its steps take."""

import time
from collections.abc import Callable


class SaveClock:
    """Asks for a checkpoint `minutes` after the last one; never where `minutes` is None."""

    def __init__(self, minutes: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self.minutes, self._now = minutes, now
        self._since = now()

    @property
    def due(self) -> bool:
        """Whether so many minutes have passed."""
        return self.minutes is not None and self._now() - self._since >= 60 * self.minutes

    def restart(self) -> None:
        """A checkpoint was saved, or training begins."""
        self._since = self._now()
