"""A pipeline under torchrun: all processes train, and the first alone merges, tests, compares and speaks.

Nothing heavy is imported where there is one process.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def several() -> bool:
    """Whether torchrun started more than one process."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def first() -> bool:
    """Whether this is the process that speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def meet(timeout: float) -> None:
    """Come together before anything is done by one of them; `timeout` as `distributed.timeout`."""
    if several():
        from medicalgpt.training.launch import join  # lazy: heavy

        join(timeout)


def first_does(work: Callable[[], T]) -> T:
    """The first process does `work`, and all get what it gives. Raises as `medicalgpt.training.together.first_does`."""
    if not several():
        return work()
    from medicalgpt.training import together  # lazy: heavy

    return together.first_does(work)


def everywhere(folder: Path, names: list[str]) -> None:
    """What lies in the first process's `folder` is on every machine when this returns."""
    if several():
        from medicalgpt.training import together  # lazy: heavy

        together.share(folder, names)
