"""The output of a batch: rows go to OUTPUT.partial one by one; the name OUTPUT means that all are there."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from medicalgpt.errors import ServeError
from medicalgpt.runs.atomic import explain, write_text


class Output:
    """Rows written in order, to be continued after an interruption.

    Beside OUTPUT.partial lies OUTPUT.partial.json with the settings its rows were made with; other settings cannot be
    mixed in. Both are gone once OUTPUT is there. `rows`, `unanswered`, `stopped` and `shortened` count the rows written,
    earlier ones included: all, those that could not be asked, those that ended by themselves, and those whose prompt lost
    old turns.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
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
            raise ServeError(f"{self.partial} cannot be written: {explain(error, self.partial.parent)}") from error
        return self.rows

    def write(self, rows: Sequence[dict[str, object]]) -> None:
        """Append rows and hand them to the operating system. Raises ServeError when that fails."""
        # A lone surrogate, which UTF-8 cannot hold, becomes the \\uXXXX escape that JSON has for it.
        lines = [(json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace") for row in rows]
        try:
            assert self._file is not None
            self._file.write(b"".join(lines))
            self._file.flush()
        except OSError as error:
            reason = explain(error, self.partial.parent)
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
            os.replace(self.partial, self.target)
            self.settings.unlink(missing_ok=True)
        except OSError as error:
            raise ServeError(f"{self.target} could not be written: {explain(error, self.target.parent)}") from error

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
