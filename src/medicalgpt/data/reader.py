"""From files to records: every row becomes a record, or stops the reading, or is dropped with a reason."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medicalgpt.data.files import expand
from medicalgpt.data.formats import SHAPES, BadRow, Shape, check_columns, fold_name, shaped
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.records import Dialogue, Document, Feedback, Kind, Record, Source
from medicalgpt.data.rows import Row, open_rows
from medicalgpt.errors import DataError

ROWS_BEFORE_SHARE = 200  # fewer rows say little about the share of bad ones; the end is checked in any case
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
    reader = _Reader(kind, columns, on_bad_row, max_bad_share, ledger)
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
    on_bad_row: Literal["stop", "drop"]
    max_bad_share: float
    ledger: Ledger
    seen: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    missing_columns: dict[str, str] = field(default_factory=dict)

    def records(self, files: Sequence[Path], strict_columns: bool) -> Iterator[Record]:
        self.missing_columns = dict(self.columns)
        for path in files:
            yield from self._file(path)
        self._check_share(final=True)
        if strict_columns and self.missing_columns:
            lost = ", ".join(f"{name}: {column}" for name, column in self.missing_columns.items())
            raise DataError(f"data.columns: no file has these columns ({lost}); correct the names or take them out")

    def _file(self, path: Path) -> Iterator[Record]:
        file, rows, good = str(path), 0, 0
        for row in open_rows(path, self.columns):
            rows += 1
            self.seen += 1
            self.ledger.see(file)
            self._tick_off(row)
            try:
                shape, record = row_record(row, file, self.columns)
                if shape.kind not in ACCEPTED[self.kind]:
                    if not good:
                        raise DataError(self._other_kind(shape, row, path))
                    raise BadRow(f"a {shape.kind} row ({shape.name}) in a file of {self.kind} rows")
            except BadRow as bad:
                self._reject(bad, row, file)
                continue
            self._check_share()
            good += 1
            if any(REPLACEMENT in text for text in record_texts(record)):
                self.ledger.warn("replacement character U+FFFD in the text: it was damaged before it came here")
            yield record
        if not rows:
            raise DataError(f"{file}: the file is empty: it has no rows; take it out of the list or fill it")

    def _tick_off(self, row: Row) -> None:
        if self.missing_columns and row.fields is not None:
            present = {fold_name(name) for name in row.fields}
            self.missing_columns = {n: c for n, c in self.missing_columns.items() if fold_name(c) not in present}

    def _reject(self, bad: BadRow, row: Row, file: str) -> None:
        if self.on_bad_row == "stop":
            raise DataError(
                f"{_place(file, row)}: {_sentence(bad)}; allowed: {bad.allowed or self._allowed()}; correct the row, "
                "or set data.on_bad_row=drop to count such rows and go on"
            ) from None
        self.ledger.settle(file, "dropped", bad.reason)
        self.bad[bad.reason] += 1
        self._check_share()

    def _check_share(self, final: bool = False) -> None:
        count = self.bad.total()
        too_many = count > self.max_bad_share * self.seen or (final and count == self.seen)
        if count and too_many and (final or self.seen >= ROWS_BEFORE_SHARE):
            most = "; ".join(f"{n} × {reason}" for reason, n in self.bad.most_common(3))
            raise DataError(
                f"{count} of {self.seen} rows read are bad ({count / self.seen:.1%}), allowed are "
                f"{self.max_bad_share:.1%}: {most}; correct the data, or raise data.max_bad_share"
            )

    def _allowed(self) -> str:
        return " or ".join(shape.expects for shape in SHAPES if shape.kind in ACCEPTED[self.kind])

    def _other_kind(self, shape: Shape, row: Row, path: Path) -> str:
        return (
            f"{_place(str(path), row)}: this is a {shape.kind} row (shape {shape.name}), which fits "
            f"{STAGE_OF[shape.kind]}; here {self.kind} rows are needed: {self._allowed()}; choose the other stage or "
            "file, or say which column holds what with data.columns"
        )


def _place(file: str, row: Row) -> str:
    return f"{file}:{row.number}" + (f" (line {row.line})" if row.line is not None else "")


def _sentence(bad: BadRow) -> str:
    return f"{bad.reason} ({bad.where})" if bad.where else bad.reason


def record_texts(record: Record) -> list[str]:
    """All running text of a record, in order."""
    if isinstance(record, Document):
        return [record.text]
    if isinstance(record, Dialogue):
        return [turn.content for turn in record.messages]
    if isinstance(record, Feedback):
        return [turn.content for turn in (*record.prompt, *record.answer)]
    return [turn.content for turn in (*record.prompt, *record.chosen, *record.rejected)]
