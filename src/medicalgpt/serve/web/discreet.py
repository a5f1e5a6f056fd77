"""No word of a conversation in what Gradio prints. An event that fails is printed there with its exception, whose message
may be all that came in: "Received inputs: […]".
"""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final

from medicalgpt.network.log import log_bug, sparing

_MODULES: Final = ("gradio.queueing", "gradio.routes", "gradio.route_utils", "gradio.utils")


class _Places:
    """In the place of `traceback`: exceptions are told without their message."""

    def __getattr__(self, name: str) -> object:
        return getattr(traceback, name)

    def print_exc(self, *given: object, **settings: object) -> None:
        """As `traceback.print_exc`, into the log."""
        if (error := sys.exception()) is not None:
            log_bug(error)


@contextmanager
def discreet() -> Iterator[None]:
    """While the page is served."""
    modules = [import_module(name) for name in _MODULES]
    with sparing():
        for module in modules:
            vars(module)["traceback"] = _Places()
        try:
            yield
        finally:
            for module in modules:
                vars(module)["traceback"] = traceback
