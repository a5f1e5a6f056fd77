"""From files to records: every row becomes a record, or stops the reading, or is dropped with a reason."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medicalgpt.data.bad_rows import BadRowPolicy, place
from medicalgpt.data.files import expand
from medicalgpt.data.formats import SHAPES, BadRow, Shape, check_columns, fold_name, shaped
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.records import Dialogue, Document, Feedback, Kind, Record, Source
from medicalgpt.data.rows import Row, open_rows
from medicalgpt.errors import DataError

REPLACEMENT = "\ufffd"

STAGE_OF: dict[Kind, str] = {
    "document": "`medicalgpt train pt`",
    "dialogue": "`medicalgpt train sft`",
    "preference": "`medicalgpt train dpo`",
    "feedback": "`medicalgpt train kto`",
}
# A pair is two verdicts on one prompt, so where feedback is read pairs will do; whoever renders them takes them apart.
ACCEPTED: dict[Kind, tuple[Kind, ...]] = {
    "document": ("document",),
    "dialogue": ("dialogue",),
    "preference": ("preference",),
    "feedback": ("feedback", "preference"),
}


def read(
    paths: Sequence[str | Path],
    kind: Kind,
    *,
    columns: Mapping[str, str] | None = None,
    on_bad_row: Literal["stop", "drop"] = "stop",
    max_bad_share: float = 0.05,
    ledger: Ledger,
    strict_columns: bool = True,
) -> Iterator[Record]:
    """Stream the records of `kind` behind files and folders; for feedback also preferences.

    Every row is seen by `ledger`; dropped rows are settled here, good ones by whoever renders them. `columns` maps
    canonical names to the files' columns; with `strict_columns` each of them must occur in some file (turn it off for
    files that come beside those the mapping was written for, such as replay text).

    Raises:
        DataError: at once for paths and `columns`; while iterating for an unreadable or empty file, a file of another
            kind, the first bad row (`stop`), or more than `max_bad_share` bad rows (`drop`: checked all along once 200
            rows were seen, and at the end).
    """
    columns = dict(columns or {})
    check_columns(columns)
    reader = _Reader(kind, columns, BadRowPolicy(on_bad_row, max_bad_share, ledger))
    return reader.records(expand(paths), strict_columns)


def row_record(row: Row, file: str, columns: Mapping[str, str]) -> tuple[Shape, Record]:
    """The shape and the record of one row.

    Raises:
        BadRow: the row cannot be used.
    """
    if row.fields is None:
        raise BadRow(row.problem, row.where)
    shape, named = shaped(row.fields, columns)
    try:
        return shape, shape.convert(named, Source(file, row.number))
    except BadRow as bad:
        bad.allowed = shape.expects
        raise


@dataclass
class _Reader:
    kind: Kind
    columns: dict[str, str]
    policy: BadRowPolicy
    missing_columns: dict[str, str] = field(default_factory=dict)

    def records(self, files: Sequence[Path], strict_columns: bool) -> Iterator[Record]:
        self.missing_columns = dict(self.columns)
        for path in files:
            yield from self._file(path)
        self.policy.finish()
        if strict_columns and self.missing_columns:
            lost = ", ".join(f"{name}: {column}" for name, column in self.missing_columns.items())
            raise DataError(f"data.columns: no file has these columns ({lost}); correct the names or take them out")

    def _file(self, path: Path) -> Iterator[Record]:
        good = 0

        def convert(row: Row) -> Record:
            self._tick_off(row)
            shape, record = row_record(row, str(path), self.columns)
            if shape.kind in ACCEPTED[self.kind]:
                return record
            if not good:
                raise DataError(self._other_kind(shape, row, path))
            raise BadRow(f"a {shape.kind} row ({shape.name}) in a file of {self.kind} rows")

        for record in self.policy.read(path, open_rows(path, self.columns), convert, self._allowed):
            good += 1
            if any(REPLACEMENT in text for text in record_texts(record)):
                self.policy.ledger.warn("replacement character U+FFFD in the text: it was damaged before it came here")
            yield record

    def _tick_off(self, row: Row) -> None:
        if self.missing_columns and row.fields is not None:
            present = {fold_name(name) for name in row.fields}
            self.missing_columns = {n: c for n, c in self.missing_columns.items() if fold_name(c) not in present}

    def _allowed(self) -> str:
        return " or ".join(shape.expects for shape in SHAPES if shape.kind in ACCEPTED[self.kind])

    def _other_kind(self, shape: Shape, row: Row, path: Path) -> str:
        return (
            f"{place(path, row.number, row.line)}: this is a {shape.kind} row (shape {shape.name}), which fits "
            f"{STAGE_OF[shape.kind]}; here {self.kind} rows are needed: {self._allowed()}; choose the other stage or "
            "file, or say which column holds what with data.columns"
        )


def record_texts(record: Record) -> list[str]:
    """All running text of a record, in order."""
    if isinstance(record, Document):
        return [record.text]
    if isinstance(record, Dialogue):
        return [turn.content for turn in record.messages]
    if isinstance(record, Feedback):
        return [turn.content for turn in (*record.prompt, *record.answer)]
    return [turn.content for turn in (*record.prompt, *record.chosen, *record.rejected)]
