"""Rows of an Arrow file (.arrow), as Hugging Face datasets keeps them: the IPC format, as a stream or as a file."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from medicalgpt.data.rows.parquet import batch_rows
from medicalgpt.data.rows.row import Row
from medicalgpt.data.storage import open_bytes
from medicalgpt.errors import DataError

if TYPE_CHECKING:
    import pyarrow

_MAGIC: Final = b"ARROW1\0\0"  # before the stream, which a footer follows that repeats what stands in it
_BATCH: Final = 256  # rows
_DICTIONARY: Final = "dictionary"
_COMPRESSED: Final = "its batches are compressed inside; write it again without, or as Parquet"
_PLACE, _OFFSET, _ENTRY = struct.Struct("<I"), struct.Struct("<i"), struct.Struct("<H")


def arrow_rows(path: Path) -> Iterator[Row]:
    """Rows of an Arrow file, of which one batch at a time is in memory (datasets writes 1,000 rows into one).

    Batches that are compressed inside are not read: what they expand to is known only once it has been allocated.

    Raises:
        DataError: the file is not Arrow, is damaged, or its batches are compressed.
    """
    import pyarrow

    number = 0
    try:
        with open_bytes(path) as raw:
            start = raw.read(len(_MAGIC))
        if not start:
            return
        skipped = len(_MAGIC) if start == _MAGIC else 0
        _refuse_compressed(path, skipped)
        with open_bytes(path) as raw:
            raw.read(skipped)
            batches = pyarrow.ipc.open_stream(raw)
            for batch in batches:
                batch.validate(full=True)  # a damaged offset would lead out of the memory
                for first in range(0, batch.num_rows, _BATCH):
                    for fields in batch_rows(batch.slice(first, _BATCH)):
                        number += 1
                        yield Row(number, fields)
    except (pyarrow.ArrowException, struct.error, EOFError, OSError, ValueError, MemoryError, OverflowError) as error:
        kind = type(error).__name__
        raise DataError(f"{path}: not a readable Arrow file after row {number} ({kind}); write it again") from None


def _refuse_compressed(path: Path, skipped: int) -> None:
    """Raises DataError where a batch is compressed inside; the errors of pyarrow where there is no stream of messages."""
    import pyarrow

    with open_bytes(path) as raw:
        raw.read(skipped)
        for message in pyarrow.ipc.MessageReader.open_stream(raw):
            if message.type in ("record batch", _DICTIONARY) and _is_compressed(message):
                raise DataError(f"{path}: {_COMPRESSED}")


def _is_compressed(message: "pyarrow.ipc.Message") -> bool:
    """Whether a pyarrow.ipc.Message, whose metadata is checked, says that its buffers are (Message.fbs of Arrow)."""
    data = message.metadata.to_pybytes()
    batch = _inner(data, _at(data, 0), 2)  # Message.header
    if message.type == _DICTIONARY:
        batch = _inner(data, batch, 1)  # DictionaryBatch.data
    return _field(data, batch, 3) > 0  # RecordBatch.compression


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffers table stands; 0 for one that is not set."""
    fields = table - _OFFSET.unpack_from(data, table)[0]
    if 4 + 2 * number >= _ENTRY.unpack_from(data, fields)[0]:
        return 0
    place: int = _ENTRY.unpack_from(data, fields + 4 + 2 * number)[0]
    return table + place if place else 0


def _inner(data: bytes, table: int, number: int) -> int:
    """Where the table begins that a field leads to."""
    return _at(data, _field(data, table, number))


def _at(data: bytes, place: int) -> int:
    return place + int(_PLACE.unpack_from(data, place)[0])
