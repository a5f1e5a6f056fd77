"""Rows of tables: CSV and TSV as programs and spreadsheets write them, with or without a header."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from statistics import median
from typing import Final, TextIO

from medicalgpt.config.sections import Encodings
from medicalgpt.data.encoding import LONGEST_LINE, bounded_lines, numbered_lines, open_text
from medicalgpt.data.files import file_type
from medicalgpt.data.formats.fields import KNOWN_NAMES, fold_name
from medicalgpt.data.rows.row import Row, UnknownHeader
from medicalgpt.data.rows.separator import Separator, separator_of
from medicalgpt.errors import DataError

CELL_LIMIT = LONGEST_LINE  # an open quote must not swallow a file larger than memory

SHORT: Final = (
    "fewer cells than columns: those that miss were taken for blank, as spreadsheet programs leave out blank ones at the end "
    "of a row"
)
_HEAD: Final = 64 << 10  # characters that the separator is found from
_UNNAMED = "{} columns (not shown, as the first row may be data)"

_Record = tuple[int, list[str]]  # line where it begins, cells


def table_rows(path: Path, columns: Mapping[str, str], encoding: Encodings = "auto") -> Iterator[Row]:
    """Rows of a CSV or TSV file; the number counts records below the header.

    Raises:
        DataError: no header and no positional `columns`, a column twice, or quotes that do not close.
    """
    tabs = file_type(path) == ".tsv"
    with open_text(path, newline="", encoding=encoding) as text:
        separator = separator_of(text.read(_HEAD), columns, "\t" if tabs else ",")
    plain = tabs and not separator.line and _is_plain(path, encoding)
    with open_text(path, newline="", encoding=encoding) as text:
        records = _plain_records(text, path) if plain else _quoted_records(text, path, separator)
        first = next(records, None)
        if first is None:
            return
        names = header(first[1], records, columns, path)
        if names is None:
            names = [str(i) for i in range(len(first[1]))]
            records = chain([first], records)
        for number, (line, cells) in enumerate(records, 1):
            if len(cells) > len(names) and not any(map(str.strip, cells[len(names) :])):
                cells = cells[: len(names)]
            if len(cells) <= len(names):
                note = SHORT if len(cells) < len(names) else ""
                cells += [""] * (len(names) - len(cells))
                yield Row(number, dict(zip(names, cells)), line=line, note=note)
            else:
                where = f"{len(cells)} cells, the table has {len(names)} columns"
                yield Row(number, None, "more cells than columns", where, line)


def _quoted_records(text: TextIO, path: Path, separator: Separator) -> Iterator[_Record]:
    text.read(len(separator.line))
    before_it = 1 if separator.line else 0
    reader = csv.reader(bounded_lines(text, path), delimiter=separator.character, strict=True)
    while True:
        line = reader.line_num + 1 + before_it
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


def _is_plain(path: Path, encoding: Encodings) -> bool:
    """Whether every line of a TSV has as many tabs as the first: then a quote is a character, not a bracket."""
    counts = {line.count("\t") for _, line in numbered_lines(path, newline="\n", encoding=encoding)}
    return len(counts) == 1 and counts != {0}


def _plain_records(text: TextIO, path: Path) -> Iterator[_Record]:
    for number, line in enumerate(bounded_lines(text, path), 1):
        if line.strip():
            yield number, [_unquote(cell) for cell in line.rstrip("\r\n").split("\t")]


def _unquote(cell: str) -> str:
    """Spreadsheets quote a cell that holds a quote, even where no tab or line break is inside."""
    inner = cell[1:-1]
    wrapped = len(cell) >= 2 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if wrapped else cell


def header(
    first: list[str], following: Iterator[tuple[int, list[str]]], columns: Mapping[str, str], path: Path
) -> list[str] | None:
    """The column names when `first` is a header row, None when `columns` names columns by position.

    Args:
        following: lines and cells of the records behind it; looked at only where its names say nothing.

    Raises:
        UnknownHeader: none of its names is known. DataError: a column twice, or a position that rows do not have.
    """
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
        body = [cells for _, cells in islice(following, 20)]
        named = _is_header(first, body)
        described = ", ".join(cell.strip() or "(unnamed)" for cell in first) if named else _UNNAMED.format(len(first))
        raise UnknownHeader(
            f"{path}: no column has a name we know: {described}; say which column holds what, for "
            "example data.columns={question: NAME, answer: NAME} (without a header row by position: "
            'data.columns={text: "0"}), or convert the file',
            [dict(zip(map(str.strip, first), cells)) for cells in body if named and len(cells) == len(first)],
        )
    twice = [name for name, n in Counter(folded).items() if n > 1 and (name in KNOWN_NAMES or name in wanted)]
    if twice:
        raise DataError(f"{path}: the column '{twice[0]}' appears twice; rename one of them")
    return [cell.strip() for cell in first]


def _is_header(first: list[str], body: list[list[str]]) -> bool:
    """Whether the first row of a table looks like a header; one that may be a patient's words is never shown."""
    longest = max((len(cell) for cell in first), default=0)
    widths = [max(map(len, cells), default=0) for cells in body]
    return (
        longest <= 40
        and bool(widths)
        and median(widths) >= 3 * longest
        and not any(cell.strip().isdecimal() for cell in first)
    )
