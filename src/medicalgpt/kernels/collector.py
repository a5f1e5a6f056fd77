"""Python's garbage collector while a command starts: importing torch and transformers makes a million objects and no garbage,
and looking through them again and again took a quarter of the time."""

import gc
from typing import Final

_STARTING: Final = (50_000, 50, 100)  # of Python's own 700, 10, 10
_usual: list[tuple[int, int, int]] = []


def put_off_collecting() -> None:
    """Collect garbage rarely from now on. This is for the whole process, so only the command line asks for it."""
    if gc.get_threshold() != _STARTING:
        _usual[:] = [gc.get_threshold()]
        gc.set_threshold(*_STARTING)


def collect_again() -> None:
    """Undo it when libraries have been imported. What has come until then stays for good and is not looked through any more."""
    if gc.get_threshold() == _STARTING:
        gc.freeze()
        gc.set_threshold(*_usual.pop())
