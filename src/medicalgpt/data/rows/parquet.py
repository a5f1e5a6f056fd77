"""Rows of a Parquet file, column by column, so that what one column holds does not spoil the others."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from medicalgpt.data.rows.row import Row
from medicalgpt.data.storage import seekable
from medicalgpt.errors import DataError

if TYPE_CHECKING:
    import pyarrow

_BATCH: Final = 256  # rows
_UNREADABLE: Final = b"unreadable"
_NO_VALUE: Final = (ValueError, TypeError, LookupError, OverflowError, ImportError)


def parquet_rows(path: Path) -> Iterator[Row]:
    """Rows of a Parquet file, read in small batches.

    A value that Python cannot hold (text that is no UTF-8, a time in a zone that is not known) is given as bytes, which no
    shape takes for text; where nothing reads the column, its row is as good as any.

    Raises:
        DataError: the file is not Parquet or is damaged.
    """
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with seekable(path) as source:  # Parquet is read from its end
            if source.seek(0, 2) == 0:
                return
            for batch in pyarrow.parquet.ParquetFile(source).iter_batches(batch_size=_BATCH):
                for fields in batch_rows(batch):
                    number += 1
                    yield Row(number, fields)
    except (pyarrow.ArrowException, EOFError, OSError, ValueError, MemoryError) as error:
        kind = type(error).__name__
        raise DataError(f"{path}: not a readable Parquet file after row {number} ({kind}); write it again") from None


def batch_rows(batch: "pyarrow.RecordBatch") -> Iterator[dict[str, object]]:
    """The rows of a batch, each under its columns' names."""
    names = batch.schema.names
    return (dict(zip(names, values)) for values in zip(*(_values(column) for column in batch.columns)))


def _values(column: object) -> list[object]:
    """The values of a column (a pyarrow.Array) as Python's."""
    try:
        values: list[object] = column.to_pylist()  # type: ignore[attr-defined]  # pyarrow has no types
    except _NO_VALUE:
        return [_value(value) for value in column]  # type: ignore[attr-defined]
    return values


def _value(value: object) -> object:
    """One value (a pyarrow.Scalar) of a column that has some which Python cannot hold."""
    try:
        return value.as_py()  # type: ignore[attr-defined]
    except _NO_VALUE:
        return _UNREADABLE
