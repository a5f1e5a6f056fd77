"""What the servers write into the log: few lines of a kind, and no word of any request. Nothing heavy is imported here."""

import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LOG = logging.getLogger("medicalgpt.serve")
_LOGGERS: Final = ("uvicorn.error", "asyncio", LOG.name)
_MOST: Final = 10
_SECONDS: Final = 60.0
_KINDS: Final = 1000


def log_bug(error: BaseException) -> None:
    """Where it happened. Not its message, which could hold a patient's words."""
    places = "".join(traceback.format_tb(error.__traceback__))
    LOG.error("a bug, please report it: %s\n%s", type(error).__name__, places)


class Sparing(logging.Filter):
    """Warnings and errors of one kind come ten times a minute, and then with the number of those that were left out.

    Exceptions come as type and places, without their message, which may hold what somebody asked.
    """

    def __init__(self, most: int = _MOST, seconds: float = _SECONDS) -> None:
        super().__init__()
        self.most, self.seconds = most, seconds
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}  # when its minute began, how often it came since

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        if record.levelno < logging.WARNING:
            return True
        if record.exc_info and record.exc_info[1] is not None:
            log_bug(record.exc_info[1])  # comes here as a record of its own
            return False
        # Of an error, each text is one kind, as other bugs are other news.
        text = record.getMessage() if record.levelno >= logging.ERROR else ""
        now, kind = time.monotonic(), (record.pathname, record.lineno, text)
        if len(self._seen) > _KINDS:
            self._seen.clear()
        begin, count = self._seen.get(kind, (now, 0))
        missed = count - self.most
        if now - begin >= self.seconds:
            begin, count = now, 0
        self._seen[kind] = begin, count + 1
        if count == 0 and missed > 0:
            record.msg, record.args = f"{record.getMessage()} (and {missed} more of these before)", ()
        return count < self.most


@contextmanager
def sparing() -> Iterator[None]:
    """While a server runs."""
    loggers, spare = [logging.getLogger(name) for name in _LOGGERS], Sparing()
    for logger in loggers:
        logger.addFilter(spare)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(spare)
