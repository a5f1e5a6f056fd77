"""Rows of an Excel workbook (.xlsx, .xlsm): cells as Excel shows them, one row at a time, bounded in size.

Formulas are their last values, and macros are never run.
"""

import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from importlib.util import find_spec
from itertools import chain, count
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Final, NamedTuple, Protocol
from zipfile import BadZipFile, ZipFile

from medicalgpt.data.documents.package import refuse_large
from medicalgpt.data.rows.row import Row, UnknownHeader
from medicalgpt.data.rows.tables import header
from medicalgpt.data.storage import read_errors, seekable
from medicalgpt.errors import DataError

if TYPE_CHECKING:
    import openpyxl

ENDINGS: Final = (".xlsx", ".xlsm")
MOST_ROWS: Final = 1_048_576  # of a sheet in Excel
_MOST_NAMES: Final = 8
_DAMAGED: Final = (
    *(BadZipFile, zlib.error, SyntaxError, LookupError, ValueError, TypeError),
    *(AttributeError, ArithmeticError, OSError, EOFError, NotImplementedError, RuntimeError, MemoryError),
)
"""What openpyxl and zipfile raise for files that are no workbooks, damaged or encrypted. XML errors are SyntaxErrors."""

_Record = tuple[int, list[object]]  # row of the sheet, values


class _Book(NamedTuple):
    """A workbook, opened twice: with the last values of its formulas, and with these as they are written."""

    values: "openpyxl.Workbook"
    written: "openpyxl.Workbook"


class Cell(Protocol):
    """What is read of a cell."""

    value: object
    data_type: str
    number_format: str
    coordinate: str


class BrokenCell(str):
    """In place of a value that is none, where it is and why."""


def workbook_rows(path: Path, columns: Mapping[str, str], sheet: str | None = None) -> Iterator[Row]:
    """Rows below the header of a sheet; `Row.line` is the row in Excel. Texts, and numbers as text; dates stay dates.

    Args:
        sheet: name of the sheet; None: the only one that holds anything.

    Raises:
        DataError: openpyxl is missing; no workbook, or one that is too large; several sheets with rows and none named; as
            `tables.header`.
    """
    with _opened(path) as book:
        table = _table(book, path, _sheet_of(book, path, sheet), columns)
        if table is not None:
            yield from _rows(*table, numbers=count(1))


def book_rows(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    """Rows of all sheets that hold any, each below a header of its own, counted on from one to the next. All cells as text.

    A sheet none of whose columns has a known name is one bad row where another sheet has such columns.

    Raises:
        DataError: openpyxl is missing; no workbook, or one that is too large; as `tables.header`.
    """
    numbers = count(1)
    with _opened(path) as book:
        names = _sheets(book)
        filled = [(at, name) for at, name in enumerate(names, 1) if next(_filled(book, path, name), None) is not None]
        unknown = {name: error for _, name in filled if (error := _unknown(book, path, name, columns)) is not None}
        if unknown and len(unknown) == len(filled):
            raise next(iter(unknown.values()))
        for at, name in filled:
            if name in unknown:
                yield Row(
                    next(numbers),
                    None,
                    "a sheet none of whose columns has a name we know",
                    f"sheet {at} of {len(names)}",
                )
                continue
            table = _table(book, path, name, columns)
            assert table is not None  # it is filled
            for row in _rows(*table, numbers=numbers):
                place = f"{row.line} of sheet {at}" if len(filled) > 1 else row.line
                fields = None if row.fields is None else {name: _as_text(value) for name, value in row.fields.items()}
                yield replace(row, fields=fields, line=place)


def _unknown(book: _Book, path: Path, name: str, columns: Mapping[str, str]) -> UnknownHeader | None:
    try:
        _table(book, path, name, columns)
    except UnknownHeader as unknown:
        return unknown
    return None


_Table = tuple[list[str], Iterator[_Record]]


def _table(book: _Book, path: Path, name: str, columns: Mapping[str, str]) -> _Table | None:
    """The columns' names and the rows of a sheet; None of an empty one. Raises DataError as `tables.header`."""
    records = _filled(book, path, name)
    first = next(records, None)
    if first is None:
        return None
    following = ((n, [_word(v) for v in cells]) for n, cells in records)
    names = header([_word(v) for v in first[1]], following, columns, path)
    if names is None:
        return [str(i) for i in range(len(first[1]))], chain([first], records)
    return names, records


def _rows(names: list[str], records: Iterator[_Record], numbers: Iterator[int]) -> Iterator[Row]:
    for (line, values), number in zip(records, numbers):
        broken = next((value for value in values if isinstance(value, BrokenCell)), None)
        if broken is not None:
            yield Row(number, None, "a cell without a value", broken, line)
        elif len(values) > len(names):
            yield Row(number, None, "more cells than columns", f"{len(values)} cells, {len(names)} columns", line)
        else:
            values += [None] * (len(names) - len(values))
            yield Row(number, {name: value for name, value in zip(names, values) if name}, line=line)


def _word(value: object) -> str:
    return "" if value is None else str(value)


def _as_text(value: object) -> str:
    """A cell as text; a date without a time of day as a date alone."""
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    return value.isoformat(" ") if isinstance(value, datetime) else _word(value)


@contextmanager
def _opened(path: Path) -> Iterator[_Book]:
    """A workbook, looked at first for what may not be opened. Raises DataError."""
    if find_spec("openpyxl") is None:
        raise DataError(
            f"{path}: a workbook needs openpyxl: pip install 'medicalgpt[documents]'; or save it as .csv (UTF-8)"
        )
    import openpyxl

    with read_errors(path), seekable(path) as raw:
        try:
            _check_parts(raw, path)
            with (
                closing(openpyxl.load_workbook(raw, read_only=True, data_only=True)) as values,
                closing(openpyxl.load_workbook(raw, read_only=True)) as written,
            ):
                yield _Book(values, written)
        except _DAMAGED as error:
            raise DataError(
                f"{path}: not a readable .xlsx workbook ({type(error).__name__}); one with a password, or an old .xls under a new "
                "name, has to be saved as .xlsx without a password, or as .csv (UTF-8)"
            ) from None


def _check_parts(raw: BinaryIO, path: Path) -> None:
    """Raises DataError for what would unpack to too much, or defines entities."""
    with ZipFile(raw) as archive:
        parts = archive.infolist()
        refuse_large(parts, path, "save the sheet as .csv (UTF-8)")
        for part in parts:
            if part.filename.endswith((".xml", ".rels")):
                with archive.open(part) as found:
                    _refuse_definitions(found, path)


def _refuse_definitions(part: IO[bytes], path: Path) -> None:
    """Raises DataError where XML has a document type, which spreadsheet programs never write and which may grow without end."""
    before = part.read(4)
    plain = not before or (before.lstrip(b"\xef\xbb\xbf").lstrip()[:1] in (b"<", b"") and b"\0" not in before)
    while plain and (block := part.read(1 << 20)):
        if b"<!DOCTYPE" in before + block:
            plain = False
        before = block[-16:]
    if not plain:
        raise DataError(
            f"{path}: a part that is no XML in UTF-8, or has a document type, which no spreadsheet program writes; save it anew"
        )


def _sheets(book: _Book) -> list[str]:
    return [str(sheet.title) for sheet in book.written.worksheets]


def _sheet_of(book: _Book, path: Path, wanted: str | None) -> str:
    names = _sheets(book)
    shown = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
    if wanted is not None:
        if wanted not in names:
            raise DataError(f"{path}: no sheet is called '{wanted}'; it has: {shown}")
        return wanted
    filled = [name for name in names if next(_filled(book, path, name), None) is not None]
    if len(filled) > 1:
        raise DataError(f"{path}: several sheets hold rows ({shown}); say which with `sheet` beside the file's `path`")
    if not names:
        raise DataError(f"{path}: the workbook has no sheet of cells")
    return filled[0] if filled else names[0]


def _filled(book: _Book, path: Path, name: str) -> Iterator[_Record]:
    """Rows of a sheet that hold anything, without blank cells at their ends."""
    # Formulas are looked at a second time: one that was never calculated reads as a blank cell, and would go unseen.
    sheets = book.values[name], book.written[name]
    for sheet in sheets:
        sheet.reset_dimensions()  # which a file may state wrongly
    rows = zip(*(sheet.iter_rows() for sheet in sheets), strict=True)  # each call reads the sheet from its begin
    for line, (cells, formulas) in enumerate(rows, 1):
        if line > MOST_ROWS:
            raise DataError(f"{path}: more than {MOST_ROWS:,} rows, which is what a sheet holds")
        values = [_value(cell, formula) for cell, formula in zip(cells, formulas, strict=True)]
        while values and values[-1] is None:
            values.pop()
        if values:
            yield line, values


def _value(cell: Cell, written: Cell) -> object:
    """A cell's value as text; None where it is blank, a date as it is."""
    value = cell.value
    if value is None and written.data_type == "f":
        return BrokenCell(
            f"{written.coordinate} is a formula that was never calculated: open and save the file in Excel"
        )
    if cell.data_type == "e":
        return BrokenCell(f"{cell.coordinate} holds an error, {value}")
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number(value, cell.number_format)
    if value is None or isinstance(value, date | time | timedelta):
        return value
    return str(value).strip() or None


def _number(value: float, form: str) -> str:
    """A number as Excel shows it: whole ones without a point, shares as percentages."""
    if form.endswith("%"):
        return f"{100 * value:.{len(form.partition('.')[2].rstrip('%'))}f}%"
    return str(int(value)) if float(value).is_integer() else str(value)
