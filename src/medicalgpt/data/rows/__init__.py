"""Rows of one file, one at a time, whatever its type; memory stays bounded for files of any size."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeVar

from medicalgpt.data.files import file_type
from medicalgpt.data.passed_over import DOCUMENTS
from medicalgpt.data.rows.arrow import arrow_rows
from medicalgpt.data.rows.json_text import json_rows, jsonl_lines, jsonl_row, jsonl_rows
from medicalgpt.data.rows.parquet import parquet_rows
from medicalgpt.data.rows.reading import DETECTED, Reading
from medicalgpt.data.rows.row import Row, UnknownHeader
from medicalgpt.data.rows.squad import with_answer
from medicalgpt.data.rows.tables import table_rows
from medicalgpt.data.rows.whole_text import text_rows
from medicalgpt.data.rows.workbook import book_rows

__all__ = ["DETECTED", "RawRow", "Reading", "Row", "UnknownHeader", "open_raw_rows", "open_rows", "parsed"]

T = TypeVar("T")
RawRow = Row | tuple[int, str]
"""A row, or the number and text of a line that is one: to cut a file into lines takes a hundredth of parsing them."""


def open_rows(path: Path, columns: Mapping[str, str], reading: Reading = DETECTED) -> Iterator[Row]:
    """Rows of `path`; `columns` (canonical name → column) tells a table's header from its first row.

    Raises:
        DataError: while iterating, when the file cannot be read, decoded or cut into rows.
    """
    return _first(map(with_answer, _rows(path, columns, reading)), path, reading)


def _rows(path: Path, columns: Mapping[str, str], reading: Reading) -> Iterator[Row]:
    kind = file_type(path)
    if kind in (".csv", ".tsv"):
        return table_rows(path, columns, reading.encoding)
    if kind == ".xlsx":
        return book_rows(path, columns)
    if kind in DOCUMENTS:
        from medicalgpt.data.rows.documents import document_rows

        return document_rows(path, reading)
    if kind == ".parquet":
        return parquet_rows(path)
    if kind == ".arrow":
        return arrow_rows(path)
    if kind == ".jsonl":
        return jsonl_rows(path, reading.encoding)
    if kind == ".json":
        return json_rows(path, columns, reading.encoding)
    return text_rows(path, reading)


def open_raw_rows(path: Path, columns: Mapping[str, str], reading: Reading = DETECTED) -> Iterator[RawRow]:
    """As `open_rows`, with the lines of a .jsonl file not parsed yet."""
    if file_type(path) != ".jsonl":
        return open_rows(path, columns, reading)
    return _first(jsonl_lines(path, reading.encoding), path, reading)


def _first(rows: Iterator[T], path: Path, reading: Reading) -> Iterator[T]:
    return islice(rows, reading.limits[path]) if path in reading.limits else rows


def parsed(row: RawRow) -> Row:
    """The row itself."""
    return row if isinstance(row, Row) else with_answer(jsonl_row(*row))
