"""From files to records: every row becomes a record, or stops the reading, or is dropped with a reason."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeVar

from medicalgpt.data.formats import BadRow, check_columns
from medicalgpt.data.formats.fields import named
from medicalgpt.data.guess import hint
from medicalgpt.data.ledger import BadRowPolicy, Ledger, hinted, place, rejected
from medicalgpt.data.read_row import ACCEPTED, ReadRow, allowed_for, read_row
from medicalgpt.data.records import Kind, Record
from medicalgpt.data.rows import DETECTED, Reading, Row, open_rows
from medicalgpt.data.sources import Given, find
from medicalgpt.errors import DataError

STAGE_OF: dict[Kind, str] = {
    "document": "`medicalgpt train pt`",
    "dialogue": "`medicalgpt train sft`",
    "preference": "`medicalgpt train dpo`",
    "feedback": "`medicalgpt train kto`",
}

T = TypeVar("T")
_DAMAGED: Final = "replacement character U+FFFD in the text: it was damaged before it came here"


def read(
    paths: Sequence[Given],
    kind: Kind,
    *,
    columns: Mapping[str, str] | None = None,
    on_bad_row: Literal["stop", "drop"] = "stop",
    max_bad_share: float = 0.05,
    ledger: Ledger,
    strict_columns: bool = True,
    reading: Reading = DETECTED,
) -> Iterator[Record]:
    """Stream the records of `kind` behind files and folders; for feedback also preferences.

    Every row is seen by `ledger`; dropped rows are settled here, good ones by whoever renders them. `columns` maps
    canonical names to the files' columns; with `strict_columns` each of them must occur in some file (turn it off for
    files that come beside those the mapping was written for, such as replay text).

    Raises:
        DataError: at once for paths and `columns`; while iterating for an unreadable file, an empty one that was named (of
            a folder's files, all of them), a file of another kind, the first bad row (`stop`), or more than
            `max_bad_share` bad rows (`drop`: checked all along once 200 rows were seen, and at the end).
    """
    columns = checked_columns(columns or {})
    found = find(paths, reading, named(columns))
    suggest = partial(hint, columns, ACCEPTED[kind], reading)
    policy = BadRowPolicy(on_bad_row, max_bad_share, ledger, suggest, found.inside)
    ledger.pass_over(found.skipped)
    return Reader(kind, columns, policy, found.limited(reading)).records(found.files, strict_columns)


def checked_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """The same as a dict. Raises DataError as `check_columns`."""
    columns = dict(columns)
    check_columns(columns)
    return columns


@dataclass
class Reader:
    """What is known of the rows read so far: whether a row can be used may depend on those before it."""

    kind: Kind
    columns: dict[str, str]
    policy: BadRowPolicy
    reading: Reading = DETECTED

    def __post_init__(self) -> None:
        self.missing_columns = named(self.columns)

    def records(self, files: Sequence[Path], strict_columns: bool) -> Iterator[Record]:
        for path in files:
            yield from self._file(path)
        self.finish(strict_columns)

    def _file(self, path: Path) -> Iterator[Record]:
        rows = hinted(path, open_rows(path, named(self.columns), self.reading), self.policy.hint)
        for found in self.accept(path, (read_row(row, str(path), self.columns, self.kind, _itself) for row in rows)):
            assert found.value is not None
            yield found.value

    def accept(self, path: Path, rows: Iterable[ReadRow[T]]) -> Iterator[ReadRow[T]]:
        """The rows of a file that can be used, from all of them in order."""
        good, empty = 0, True
        for row in rows:
            empty = False
            if row.present:
                self.missing_columns = {n: c for n, c in self.missing_columns.items() if c not in row.present}
            refused = row.refused
            if row.other is not None:
                name, kind = row.other
                if not good:
                    raise DataError(self._other_kind(name, kind, row.row, path))
                bad = BadRow(f"a {kind} row ({name}) in a file of {self.kind} rows")
                refused = rejected(path, row.row, bad, self._allowed)
            elif refused is None and row.left:
                self.policy.ledger.leave(str(path), row.left)
            self.policy.see(path, refused)
            if refused is None:
                good += 1
                if row.row.note:
                    self.policy.ledger.warn(row.row.note)
                if row.damaged:
                    self.policy.ledger.warn(_DAMAGED)
                yield row
        if empty:
            self.policy.see_none(path)

    def finish(self, strict_columns: bool) -> None:
        """Check the whole once all files are read. Raises DataError."""
        self.policy.finish()
        if strict_columns and self.missing_columns:
            lost = ", ".join(f"{name}: {column}" for name, column in self.missing_columns.items())
            raise DataError(f"data.columns: no file has these columns ({lost}); correct the names or take them out")

    def _allowed(self) -> str:
        return allowed_for(self.kind)

    def _other_kind(self, name: str, kind: Kind, row: Row, path: Path) -> str:
        return (
            f"{place(path, row.number, row.line)}: this is a {kind} row (shape {name}), which fits "
            f"{STAGE_OF[kind]}; here {self.kind} rows are needed: {self._allowed()}; choose the other stage or "
            "file, or say which column holds what with data.columns"
        )


def _itself(record: Record) -> Record:
    return record
