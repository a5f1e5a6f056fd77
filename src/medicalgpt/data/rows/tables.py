"""Rows of tables: CSV and TSV with or without a header, and Parquet."""

import csv
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from statistics import median
from typing import Any, TextIO

from medicalgpt.data.encoding import open_text
from medicalgpt.data.files import file_type, is_gzip, open_bytes
from medicalgpt.data.formats.names import KNOWN_NAMES, fold_name
from medicalgpt.data.rows.row import Row
from medicalgpt.errors import DataError

CELL_LIMIT = 64 << 20  # characters: an open quote must not swallow a file larger than memory

_Record = tuple[int, list[str]]  # line where it begins, cells


def table_rows(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    """Rows of a CSV or TSV file; the number counts records below the header.

    Raises:
        DataError: no header and no positional `columns`, a column twice, or quotes that do not close.
    """
    plain = file_type(path) == ".tsv" and _is_plain(path)
    with open_text(path, newline="") as text:
        records = _plain_records(text) if plain else _quoted_records(text, path)
        first = next(records, None)
        if first is None:
            return
        names = _header(first[1], records, columns, path)
        if names is None:
            names = [str(i) for i in range(len(first[1]))]
            records = chain([first], records)
        for number, (line, cells) in enumerate(records, 1):
            if len(cells) == len(names):
                yield Row(number, dict(zip(names, cells)), line=line)
            else:
                where = f"{len(cells)} cells, the table has {len(names)} columns"
                yield Row(number, None, "another number of cells than columns", where, line)


def _quoted_records(text: TextIO, path: Path) -> Iterator[_Record]:
    delimiter = "\t" if file_type(path) == ".tsv" else ","
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        # csv has one limit for the process; it is ours for this row only, as other readers may run between two rows.
        before = csv.field_size_limit(CELL_LIMIT)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{path}:{line}: the record that begins here cannot be read ({error}); allowed: cells with line "
                'breaks, quotes or separators inside "…", a quote itself doubled; correct the quotes'
            ) from None
        finally:
            csv.field_size_limit(before)
        if cells:
            yield line, cells


def _is_plain(path: Path) -> bool:
    """Whether every line of a TSV has as many tabs as the first: then a quote is a character, not a bracket."""
    with open_text(path, newline="\n") as text:
        counts = {line.count("\t") for line in text if line.strip()}
    return len(counts) == 1 and counts != {0}


def _plain_records(text: TextIO) -> Iterator[_Record]:
    for number, line in enumerate(text, 1):
        if line.strip():
            yield number, [_unquote(cell) for cell in line.rstrip("\r\n").split("\t")]


def _unquote(cell: str) -> str:
    """Spreadsheets quote a cell that holds a quote, even where no tab or line break is inside."""
    inner = cell[1:-1]
    wrapped = len(cell) >= 2 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if wrapped else cell


def _header(first: list[str], following: Iterator[_Record], columns: Mapping[str, str], path: Path) -> list[str] | None:
    """The column names when `first` is a header row, None when `columns` names columns by position."""
    positions = {str(i) for i in range(len(first))}
    folded = [fold_name(cell) for cell in first]
    wanted = {fold_name(column) for column in columns.values()}
    known = any(name in KNOWN_NAMES for name in folded)
    by_position = bool(wanted) and all(name.isdecimal() for name in wanted)
    if by_position and not known and set(folded) != positions:
        if not wanted <= positions:
            raise DataError(
                f"{path}: data.columns asks for column {max(wanted, key=int)}, but rows have {len(first)} cells; "
                f"without a header columns are named 0 to {len(first) - 1}"
            )
        return None
    if not known and not wanted & set(folded):
        raise DataError(
            f"{path}: no column has a name we know: {_described(first, following)}; say which column holds what, for "
            "example data.columns={question: NAME, answer: NAME} (without a header row by position: "
            'data.columns={text: "0"}), or convert the file'
        )
    twice = [name for name, n in Counter(folded).items() if n > 1 and (name in KNOWN_NAMES or name in wanted)]
    if twice:
        raise DataError(f"{path}: the column '{twice[0]}' appears twice; rename one of them")
    return [cell.strip() for cell in first]


def _described(first: list[str], following: Iterator[_Record]) -> str:
    """The names, if this looks like a header; a first row that may be a patient's words is never shown."""
    longest = max((len(cell) for cell in first), default=0)
    body = [max(map(len, cells), default=0) for _, cells in islice(following, 20)]
    if longest <= 40 and body and median(body) >= 3 * longest and not any(c.strip().isdecimal() for c in first):
        return ", ".join(cell.strip() or "(unnamed)" for cell in first)
    return f"{len(first)} columns (not shown, as the first row may be data)"


def parquet_rows(path: Path) -> Iterator[Row]:
    """Rows of a Parquet file, read in small batches.

    Raises:
        DataError: the file is not Parquet or is damaged.
    """
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with open_bytes(path) as raw, tempfile.TemporaryFile() as spare:
            if is_gzip(path):  # Parquet is read from its end, so it must be seekable
                shutil.copyfileobj(raw, spare, 1 << 20)
            source: Any = spare if is_gzip(path) else raw
            for batch in pyarrow.parquet.ParquetFile(source).iter_batches(batch_size=256):
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(number, fields)
    except (pyarrow.ArrowException, EOFError, OSError) as error:
        kind = type(error).__name__
        raise DataError(f"{path}: not a readable Parquet file after row {number} ({kind}); write it again") from None
