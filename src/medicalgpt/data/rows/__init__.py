"""Rows of one file, one at a time, whatever its type; memory stays bounded for files of any size."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from medicalgpt.data.files import file_type
from medicalgpt.data.rows.json_text import json_rows, jsonl_rows
from medicalgpt.data.rows.row import Row
from medicalgpt.data.rows.tables import parquet_rows, table_rows
from medicalgpt.data.rows.whole_text import text_rows

__all__ = ["Row", "open_rows"]


def open_rows(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    """Rows of `path`; `columns` (canonical name → column) tells a table's header from its first row.

    Raises:
        DataError: while iterating, when the file cannot be read, decoded or cut into rows.
    """
    kind = file_type(path)
    if kind in (".csv", ".tsv"):
        return table_rows(path, columns)
    readers = {".jsonl": jsonl_rows, ".json": json_rows, ".parquet": parquet_rows}
    return readers.get(kind, text_rows)(path)
