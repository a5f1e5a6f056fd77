"""A report on one data file: encoding, shape, columns, counts of good and bad rows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medicalgpt.data.encoding import find_encoding
from medicalgpt.data.files import expand, file_type, is_gzip
from medicalgpt.data.formats import BadRow, check_columns
from medicalgpt.data.reader import REPLACEMENT, record_texts, row_record
from medicalgpt.data.records import Kind
from medicalgpt.data.rows import open_rows
from medicalgpt.errors import DataError

MOST_COLUMNS = 50
MOST_BAD_ROWS = 100


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file in numbers and names; never a row's content.

    `shape` and `kind` are those of most good rows, "" and None without any; `shapes` counts rows of each shape.
    `bad_rows` gives (row, reason) of the first 100 bad rows, `reasons` counts all of them.
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

    @property
    def bad(self) -> int:
        """Number of bad rows."""
        return sum(self.reasons.values())


def detect(path: str | Path, columns: Mapping[str, str] | None = None) -> FileReport:
    """Read one file to its end and report what it is.

    Raises:
        DataError: no such file, a folder, a type that is not read, no rows, or content that cannot be cut into rows.
    """
    columns = dict(columns or {})
    check_columns(columns)
    if Path(path).is_dir():
        raise DataError(f"{path}: this is a folder; give the files in it one by one")
    (file,) = expand([path])
    kind_of_file = file_type(file)
    encoding = "binary" if kind_of_file == ".parquet" else find_encoding(file).name
    names: dict[str, None] = {}
    shapes: Counter[tuple[str, Kind]] = Counter()
    reasons: Counter[str] = Counter()
    bad_rows: list[tuple[int, str]] = []
    rows = replaced = 0
    for row in open_rows(file, columns):
        rows += 1
        if row.fields is not None and len(names) < MOST_COLUMNS and kind_of_file not in (".txt", ".md"):
            names.update(dict.fromkeys(name for name in row.fields if len(name) <= 40 and name.isprintable()))
        try:
            shape, record = row_record(row, str(file), columns)
        except BadRow as bad:
            reasons[bad.reason] += 1
            if len(bad_rows) < MOST_BAD_ROWS:
                bad_rows.append((row.number, bad.reason))
            continue
        shapes[(shape.name, shape.kind)] += 1
        replaced += any(REPLACEMENT in text for text in record_texts(record))
    if not rows:
        raise DataError(f"{file}: the file is empty: it has no rows; take it out of the list or fill it")
    (shape_name, kind), _ = shapes.most_common(1)[0] if shapes else (("", None), 0)
    return FileReport(
        path=str(file),
        type=kind_of_file,
        encoding=encoding,
        compression="gzip" if is_gzip(file) else "none",
        shape=shape_name,
        kind=kind,
        columns=tuple(names)[:MOST_COLUMNS],
        rows=rows,
        shapes={name: n for (name, _), n in shapes.most_common()},
        bad_rows=tuple(bad_rows),
        reasons=dict(reasons.most_common()),
        replacement_rows=replaced,
    )
