"""The output of a batch: rows go to OUTPUT.partial one by one; the name OUTPUT means that all are there."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from medicalgpt.disk.failures import explain
from medicalgpt.disk.private import private_files
from medicalgpt.errors import ServeError
from medicalgpt.generate.layout import layout_of
from medicalgpt.generate.spreadsheet import Row
from medicalgpt.runs.atomic import sync_file, write_text

_REMEDY = "choose another output file on a larger disk"


class Output:
    """Rows written in order, to be continued after an interruption.

    Beside OUTPUT.partial lies OUTPUT.partial.json with the settings its rows were made with; other settings cannot be
    mixed in. Both are gone once OUTPUT is there. `rows`, `unanswered`, `stopped` and `shortened` count the rows written,
    earlier ones included: all, those that could not be asked, those that ended by themselves, and those whose prompt lost
    old turns.

    Args:
        target: its name says in which layout the complete file is written; see `layout_of`.
        lines: `.json` holds JSON lines as well.
        names: which columns the complete file has, and under which names; all under their own unless given.

    Raises:
        ServeError: the name asks for a format that is not written.
    """

    def __init__(self, target: Path, *, lines: bool = False, names: Mapping[str, str] | None = None) -> None:
        self.target = target
        self._layout, self._names = layout_of(target, lines), names
        self.partial = target.with_name(target.name + ".partial")
        self.settings = target.with_name(target.name + ".partial.json")
        self.rows = self.unanswered = self.stopped = self.shortened = 0
        self._file: BinaryIO | None = None

    def check(self, resume: bool) -> bool:
        """Look before anything costs time; True when OUTPUT is complete and `resume` is set.

        Raises:
            ServeError: OUTPUT or an unfinished one is there and `resume` is not set, or its folder is missing.
        """
        if self.target.exists():
            if resume and not self.partial.exists():
                return True
            raise ServeError(f"{self.target} is there already; remove it or choose another output file")
        if self.partial.exists() and not resume:
            raise ServeError(f"{self.partial} is there from an earlier call; go on with --resume, or remove it")
        if not self.target.parent.is_dir():
            raise ServeError(f"there is no folder {self.target.parent}; make it or choose another output file")
        return False

    @private_files()
    def start(self, settings: dict[str, object]) -> int:
        """Open for writing; gives how many rows are there. A last row that was only half written is cut off.

        Raises:
            ServeError: the rows there were made with other settings, or are damaged, or the file cannot be opened.
        """
        try:
            if self.partial.exists() and self.partial.stat().st_size:
                self._check_settings(settings)
            else:
                write_text(self.settings, json.dumps(settings, indent=1, sort_keys=True) + "\n")
            self._file = self.partial.open("ab")
            self._file.truncate(self._read_rows())
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise ServeError(
                f"{self.partial} cannot be written: {explain(error, self.partial.parent, remedy=_REMEDY)}"
            ) from error
        return self.rows

    def write(self, rows: Sequence[dict[str, object]]) -> None:
        """Append rows and hand them to the operating system. Raises ServeError when that fails."""
        lines = [_line(row) for row in rows]
        try:
            assert self._file is not None
            self._file.write(b"".join(lines))
            self._file.flush()
        except OSError as error:
            reason = explain(error, self.partial.parent, remedy=_REMEDY)
            raise ServeError(
                f"{self.partial} could not be written: {reason}; then go on with it (generate: --resume)"
            ) from error
        for row in rows:
            self._count(row)

    def finish(self) -> None:
        """Give the complete file its name. Raises ServeError when that fails."""
        try:
            assert self._file is not None
            os.fsync(self._file.fileno())
            self._file.close()
            if self._layout is None and self._names is None:
                os.replace(self.partial, self.target)
            else:
                self._lay_out()
            self.settings.unlink(missing_ok=True)
        except OSError as error:
            raise ServeError(
                f"{self.target} could not be written: {explain(error, self.target.parent, remedy=_REMEDY)}"
            ) from error

    @private_files()
    def _lay_out(self) -> None:
        """Write the gathered rows as the target's name asks for, and give them that name once all are on the disk."""
        temp = self.target.with_name(f".{self.target.name}.{os.getpid()}.tmp{self.target.suffix}")
        try:
            (self._layout or _write_lines)(temp, self._gathered)
            sync_file(temp)
            os.replace(temp, self.target)
        finally:
            with suppress(OSError):
                temp.unlink(missing_ok=True)
        self.partial.unlink()

    def _gathered(self) -> Iterator[Row]:
        with self.partial.open("rb") as file:
            for line in file:
                row = json.loads(line)
                yield (
                    row if self._names is None else {new: row[name] for name, new in self._names.items() if name in row}
                )

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None and not self._file.closed:
            self._file.close()

    def _check_settings(self, settings: dict[str, object]) -> None:
        try:
            before = json.loads(self.settings.read_bytes())
        except (OSError, ValueError):
            raise ServeError(
                f"{self.partial} cannot be continued: {self.settings.name} is missing or damaged; remove both"
            ) from None
        now = json.loads(json.dumps(settings))
        changed = sorted(k for k in {*before, *now} if before.get(k) != now.get(k)) if isinstance(before, dict) else []
        if before != now:
            raise ServeError(
                f"{self.partial} was made with other settings ({', '.join(changed) or 'unreadable'}); "
                "use the same ones to go on with it, or remove the file"
            )

    def _read_rows(self) -> int:
        """Count the complete rows; gives the byte at which they end."""
        end = 0
        with self.partial.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    self._count(json.loads(line))
                except (ValueError, KeyError, TypeError):
                    raise ServeError(
                        f"{self.partial}:{number}: not a row that was written here; remove the file"
                    ) from None
                end += len(line)
        return end

    def _count(self, row: dict[str, object]) -> None:
        self.unanswered += "problem" in row
        self.stopped += bool("problem" not in row and row["stopped"])
        self.shortened += "dropped_turns" in row
        self.rows += 1


def _line(row: Row) -> bytes:
    """A row as a line. A lone surrogate, which UTF-8 cannot hold, becomes the \\uXXXX escape that JSON has for it."""
    return (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _write_lines(path: Path, rows: Callable[[], Iterator[Row]]) -> None:
    with path.open("wb") as file:
        file.writelines(map(_line, rows()))
