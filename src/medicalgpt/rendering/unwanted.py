"""Work that nobody wants any more ends: rendering and encoding ask before each of their steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from medicalgpt.errors import ServeError


class UnwantedError(ServeError):
    """Whoever asked for the work has left."""


_ASKED: Final[ContextVar[Callable[[], bool] | None]] = ContextVar("unwanted", default=None)


@contextmanager
def unless(unwanted: Callable[[], bool]) -> Iterator[None]:
    """Within the block, `go_on` raises UnwantedError once `unwanted` says so. Of this thread or task only."""
    token = _ASKED.set(unwanted)
    try:
        yield
    finally:
        _ASKED.reset(token)


def go_on() -> None:
    """Called before each step of work that may be long. Raises UnwantedError."""
    asked = _ASKED.get()
    if asked is not None and asked():
        raise UnwantedError("nobody waits for this any more")
