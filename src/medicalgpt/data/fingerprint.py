"""The content behind paths as a hash, and whether it is still what it was."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from medicalgpt.data.rows import DETECTED, Reading
from medicalgpt.data.sources import Found, Given, find
from medicalgpt.data.storage import open_regular, read_errors, stored
from medicalgpt.errors import DataError

_LINED: Final = (".jsonl", ".csv", ".tsv")  # a line is a row, but for cells of several lines
_CHANGED: Final = "changed while it was read; see that nothing writes there any more, and start again"


@dataclass(frozen=True)
class Content:
    """What lay behind paths at one time: the hash of it, size, time and number of every file that holds it, and what was
    `skipped`, as `find` counts it; `named` as it says. `lines` is how many lines there are where each is a row, else None.
    """

    paths: tuple[Given, ...]
    hash: str
    states: tuple[tuple[Path, tuple[int, int, int]], ...]
    found: Found
    reading: Reading
    columns: Mapping[str, str]
    lines: int | None = None

    @property
    def skipped(self) -> Mapping[tuple[str, str], int]:
        """Files that are not read, as `find` counts them."""
        return self.found.skipped

    @classmethod
    def of(
        cls,
        paths: Iterable[Given],
        reading: Reading = DETECTED,
        columns: Mapping[str, str] | None = None,
        unwanted: Callable[[], bool] = lambda: False,
    ) -> "Content":
        """The content behind paths now; `hash` as `fingerprint`; `reading` and `columns` as `find`.

        Raises:
            DataError: as `find`.
            CancelledError: it is `unwanted`, which is asked all along.
        """
        given, columns = tuple(paths), columns or {}
        found = find(given, reading, columns)
        files = found.files
        holders = dict.fromkeys(map(stored, files))
        states = tuple((file, _state(file)) for file in holders)  # before the hash, so that a change during it shows
        contents = {file: _content(file, unwanted) for file in holders}
        plain = all(file.suffix.lower() in _LINED for file in files) and all(map(holders.__contains__, files))
        total = hashlib.sha256()
        for file in files:
            holder = stored(file)
            name = file.name if holder == file else f"{holder.name}/{file.relative_to(holder).as_posix()}"
            most = f"\0{found.limits[file]} rows" if file in found.limits else ""
            total.update(f"{name}\0{contents[holder][0]}{most}\n".encode("utf-8", "surrogateescape"))
        if any(part.share is not None for part in found.parts):
            mix = ", ".join(f"{len(part.files)} files {part.share}" for part in found.parts)
            total.update(f"shares: {mix}\n".encode())
        lines = sum(found.limits.get(file, contents[file][1]) for file in files) if plain else None
        return cls(given, total.hexdigest(), states, found, reading, columns, lines)

    def check(self, unwanted: Callable[[], bool] = lambda: False) -> None:
        """Read it once more.

        Raises:
            DataError: naming the first file that is no longer what it was, or the folder with other files than before.
            CancelledError: as `of`.
        """
        now = Content.of(self.paths, self.reading, self.columns, unwanted)
        for (file, before), (same, after) in zip(self.states, now.states):
            if file == same and before != after:
                raise DataError(f"{file}: the file {_CHANGED}")
        if self.hash != now.hash or self.states != now.states:
            raise DataError(f"{', '.join(part.name for part in self.found.parts)}: the data {_CHANGED}")


def fingerprint(paths: Iterable[Given]) -> str:
    """SHA-256 (hex) over name, size and content of every file behind `paths`, in reading order; and how much of it is taken.

    Moving a file to another folder keeps the fingerprint; renaming, reordering or changing a byte does not.

    Raises:
        DataError: as `expand`, or a file that cannot be read.
    """
    return Content.of(paths).hash


def _state(file: Path) -> tuple[int, int, int]:
    with read_errors(file):
        found = file.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _content(file: Path, unwanted: Callable[[], bool]) -> tuple[str, int]:
    """Size and hash, and how many lines there are in what is stored."""
    content, size, lines = hashlib.sha256(), 0, 0
    with read_errors(file), open_regular(file) as raw:
        while block := raw.read(1 << 20):
            if unwanted():
                raise CancelledError
            content.update(block)
            size += len(block)
            lines += block.count(b"\n")
    return f"{size}\0{content.hexdigest()}", lines
