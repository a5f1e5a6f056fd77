"""A run's metrics as they are written, until it ends. Only read: a run does not notice who follows it."""

import os
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Final

from medicalgpt.browse.info import RunInfo
from medicalgpt.browse.runs import is_run, run_info
from medicalgpt.errors import RunError
from medicalgpt.runs import manifest, metrics
from medicalgpt.runs.folder import LOCK, RunFolder
from medicalgpt.runs.lock import held

PAUSE: Final = 1.0
"""Seconds between two looks."""


def follow(folder: Path, last: int = 10, pause: float = PAUSE) -> Iterator[metrics.Line | RunInfo]:
    """The last lines of a run's log, then each one as it is written, and when the run has ended, how it stands.

    A log that was rewound (the run went on from a checkpoint) is followed from where it was rewound to.

    Args:
        last: so many of the lines that are there already; 0: all.

    Raises:
        RunError: there is no run in the folder, or its log cannot be read.
    """
    if not folder.is_dir() or not is_run({path.name for path in folder.iterdir()}):
        raise RunError(f"{folder} is no run folder; give the output_dir of a stage (medicalgpt runs list shows them)")
    log = RunFolder(folder).metrics
    tail = _Tail(log)
    running = _is_running(folder)
    lines = tail.new()
    yield from lines[-last:] if last else lines
    while running:
        time.sleep(pause)
        running = _is_running(folder)  # before the lines are read, so that the last ones are not missed
        yield from tail.new()
    yield run_info(folder, folder.resolve().name)


def _is_running(folder: Path) -> bool:
    return not (folder / manifest.NAME).is_file() and held(folder / LOCK) is True


class _Tail:
    """What a log has beyond what was read of it. Whole lines only: the last one may be half written."""

    def __init__(self, path: Path) -> None:
        self.path, self.at, self.inode = path, 0, -1
        self.known: list[int] = []  # hashes of the lines that were read, to find where a log was rewound to

    def new(self) -> list[metrics.Line]:
        """Lines since the last time; none while the file is as it was."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                again = found.st_ino != self.inode or found.st_size < self.at
                self.inode = found.st_ino
                file.seek(0 if again else self.at)
                block = file.read()
        except FileNotFoundError:  # before the first line, or between two starts
            self.at, self.inode = 0, -1
            return []
        except OSError as error:
            raise RunError(f"{self.path} cannot be read: {error.strerror}") from error
        whole = block[: block.rfind(b"\n") + 1]
        self.at = (0 if again else self.at) + len(whole)
        lines = whole.splitlines()
        if again:
            kept = sum(1 for _ in takewhile(lambda pair: hash(pair[0]) == pair[1], zip(lines, self.known)))
            self.known, lines = self.known[:kept], lines[kept:]
        self.known += map(hash, lines)
        return [parsed for parsed in map(metrics.parse_line, lines) if parsed is not None]
