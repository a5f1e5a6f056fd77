"""A report on one data file: encoding, shape, columns, counts of good and bad rows."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

from medicalgpt.data.encoding import find_encoding
from medicalgpt.data.files import file_type
from medicalgpt.data.formats import BadRow, check_columns
from medicalgpt.data.formats.fields import NotLearned, named
from medicalgpt.data.guess import ROWS, guess_columns, hint
from medicalgpt.data.ledger import EMPTY, EmptyFile, hinted
from medicalgpt.data.passed_over import DOCUMENTS
from medicalgpt.data.read_row import REPLACEMENT, record_texts, row_record
from medicalgpt.data.records import Kind
from medicalgpt.data.rows import DETECTED, Reading, open_rows
from medicalgpt.data.sources import Found, expand
from medicalgpt.data.storage import is_archive, storage
from medicalgpt.errors import DataError

MOST_COLUMNS = 50
MOST_BAD_ROWS = 100
_BINARY: Final = (".parquet", ".arrow", ".xlsx", ".docx", ".pdf")


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file in numbers and names; never a row's content.

    `shape` and `kind` are those of most good rows, "" and None without any; `shapes` counts rows of each shape.
    `bad_rows` gives (row, reason) of the first 100 bad rows, `reasons` counts all of them.
    `unread` counts rows by the columns that hold something and that nothing read; `not_learned` those that ask for it.
    `notes` say what is odd about the file.
    `guess` is a `data.columns` with which the first rows could be read, where no row can be read without one.
    """

    path: str
    type: str
    encoding: str
    compression: str
    shape: str
    kind: Kind | None
    columns: tuple[str, ...]
    rows: int
    shapes: dict[str, int] = field(default_factory=dict)
    bad_rows: tuple[tuple[int, str], ...] = ()
    reasons: dict[str, int] = field(default_factory=dict)
    replacement_rows: int = 0
    unread: dict[str, int] = field(default_factory=dict)
    not_learned: dict[str, int] = field(default_factory=dict)
    guess: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def bad(self) -> int:
        """Number of bad rows."""
        return sum(self.reasons.values())


def reports(found: Found, columns: Mapping[str, str], reading: Reading = DETECTED) -> Iterator[FileReport]:
    """A report on every file that was found; an empty one of a folder has no rows, no kind, and a note that says so.

    Raises:
        DataError: as `detect`; EmptyFile only for a file that was named, or where there is no row at all.
    """
    rows = 0
    for file in found.files:
        try:
            report = detect(file, columns, reading)
        except EmptyFile:
            if file not in found.inside or (not rows and file == found.files[-1]):
                raise
            report = FileReport(str(file), file_type(file), "", storage(file), "", None, (), 0, notes=(EMPTY,))
        rows += report.rows
        yield report


def detect(path: str | Path, columns: Mapping[str, str] | None = None, reading: Reading = DETECTED) -> FileReport:
    """Read one file to its end and report what it is.

    Raises:
        DataError: no such file, a folder, a type that is not read, or content that cannot be cut into rows. EmptyFile: no rows.
    """
    columns = dict(columns or {})
    check_columns(columns)
    if Path(path).is_dir() or (is_archive(Path(path)) and Path(path).is_file()):
        raise DataError(f"{path}: this is a folder or an archive; give the files in it one by one")
    (file,) = expand([path])
    kind_of_file = file_type(file)
    encoding = _encoding(file, reading)
    names: dict[str, None] = {}
    shapes: Counter[tuple[str, Kind]] = Counter()
    reasons: Counter[str] = Counter()
    bad_rows: list[tuple[int, str]] = []
    odd: list[dict[str, Any]] = []
    unread, not_learned, notes = Counter[str](), Counter[str](), Counter[str]()
    rows = replaced = 0
    suggest = partial(hint, columns, get_args(Kind), reading)
    for row in hinted(file, open_rows(file, named(columns), reading), suggest):
        rows += 1
        notes.update([row.note] if row.note else [])
        if row.fields is not None and len(names) < MOST_COLUMNS and kind_of_file not in (".txt", ".md", *DOCUMENTS):
            names.update(dict.fromkeys(name for name in row.fields if len(name) <= 40 and name.isprintable()))
        try:
            shape, record, left = row_record(row, str(file), columns)
        except NotLearned as asked:
            not_learned[asked.reason] += 1
            continue
        except BadRow as bad:
            reasons[bad.reason] += 1
            if row.fields is not None and len(odd) < ROWS:
                odd.append(row.fields)
            if len(bad_rows) < MOST_BAD_ROWS:
                bad_rows.append((row.number, bad.reason))
            continue
        shapes[(shape.name, shape.kind)] += 1
        unread.update(name for name in left if name in unread or len(unread) < MOST_COLUMNS)
        replaced += any(REPLACEMENT in text for text in record_texts(record))
    if not rows:
        raise EmptyFile(file)
    (shape_name, kind), _ = shapes.most_common(1)[0] if shapes else (("", None), 0)
    return FileReport(
        path=str(file),
        type=kind_of_file,
        encoding=encoding,
        compression=storage(file),
        shape=shape_name,
        kind=kind,
        columns=tuple(names)[:MOST_COLUMNS],
        rows=rows,
        shapes={name: n for (name, _), n in shapes.most_common()},
        bad_rows=tuple(bad_rows),
        reasons=dict(reasons.most_common()),
        replacement_rows=replaced,
        unread=dict(unread.most_common()),
        not_learned=dict(not_learned.most_common()),
        guess=guess_columns(odd) if odd and not shapes and not columns else {},
        notes=tuple(notes),
    )


def _encoding(file: Path, reading: Reading) -> str:
    """What a file's text is in; documents say it themselves."""
    kind = file_type(file)
    if kind in _BINARY:
        return "binary"
    return "as it says" if kind in DOCUMENTS else find_encoding(file, reading.encoding).name
