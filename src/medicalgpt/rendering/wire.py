"""Rows on their way between processes: as plain values, since `pickle` calls Python for every dataclass and named tuple.

The bytes of trees lie together behind them: copied once, where `pickle` would do so again and again as its output grows. A row about
which there is more to say than of nearly all travels as it is.
"""

import pickle
from collections.abc import Sequence
from struct import Struct
from typing import IO, Final

from medicalgpt.data.ledger import Outcome
from medicalgpt.data.read_row import ReadRow
from medicalgpt.data.records import Source
from medicalgpt.data.rows import Row
from medicalgpt.rendering.packed import Packed
from medicalgpt.rendering.row_work import RowKey, RowTrees
from medicalgpt.rendering.rows import Rendered

Found = ReadRow[RowKey] | ReadRow[RowTrees]

_Sizes = tuple[int, int, int, int]
_Key = tuple[str, int]
_Ending = tuple[Outcome, str, bool, bool]
_Trees = tuple[_Ending, _Sizes | None, _Sizes | None, tuple[int, int], bool, _Key | None]
_Line = tuple[int, int | str | None, str, frozenset[str], tuple[str, ...], bool, _Key | _Trees]

_SIZE: Final = Struct("=q")
_PLAIN: Final[_Ending] = ("kept", "", False, False)
_KEPT: Final = Rendered(())


def put(stream: IO[bytes], message: bytes) -> None:
    """Write a message. Raises OSError."""
    stream.write(_SIZE.pack(len(message)))
    stream.write(message)
    stream.flush()


def get(stream: IO[bytes]) -> bytes:
    """Read a message. Raises EOFError where there is none, or not all of one; OSError."""
    head = stream.read(_SIZE.size)
    size = _SIZE.unpack(head)[0] if len(head) == _SIZE.size else 0
    message = stream.read(size)
    if not size or len(message) < size:
        raise EOFError
    return message


def answered(found: Sequence[Found]) -> bytes:
    """What came of rows of one file, to be sent."""
    parts: list[bytes] = []
    sent = pickle.dumps((True, [_shortened(read, parts) for read in found]))
    return b"".join([_SIZE.pack(len(sent)), sent, *parts])


def failed(error: Exception) -> bytes:
    """Why nothing came of them, likewise."""
    try:
        sent = pickle.dumps((False, error))
    except Exception:  # an error that holds what cannot be sent
        sent = pickle.dumps((False, RuntimeError(f"{type(error).__name__} in a process that rendered rows")))
    return _SIZE.pack(len(sent)) + sent


def taken(sent: bytes, file: str) -> list[Found]:
    """What was `answered` about rows of a file. Raises what had `failed`."""
    begin = _SIZE.size + int(_SIZE.unpack_from(sent)[0])
    good, value = pickle.loads(memoryview(sent)[_SIZE.size : begin])
    if not good:
        raise value
    parts = _Parts(sent, begin)
    return [line if isinstance(line, ReadRow) else _restored(line, file, parts) for line in value]


def _shortened(read: Found, parts: list[bytes]) -> Found | _Line:
    row, value = read.row, read.value
    if value is None or row.problem or row.where or row.passed or row.allowed:
        return read
    if isinstance(value, RowKey):
        return row.number, row.line, row.note, read.present, read.left, read.damaged, (value.key, value.size)
    if value.error or value.record is not None:
        return read
    ending, (train, held_out), key = value.row, value.packed, value.key
    trees = (
        (ending.outcome, ending.reason, ending.over_length, ending.not_learned),
        None if train is None else _laid(train, parts),
        None if held_out is None else _laid(held_out, parts),
        value.characters,
        value.held_out,
        None if key is None else (key.key, key.size),
    )
    return row.number, row.line, row.note, read.present, read.left, read.damaged, trees


def _laid(packed: Packed, parts: list[bytes]) -> _Sizes:
    parts += packed
    return len(packed.ids), len(packed.weights), len(packed.segments), len(packed.sources)


class _Parts:
    """The bytes of trees, taken in the order in which they were laid."""

    def __init__(self, sent: bytes, at: int) -> None:
        self._sent, self._at = sent, at

    def packed(self, sizes: _Sizes) -> Packed:
        """The next trees."""
        sent, begin = self._sent, self._at
        ids = begin + sizes[0]
        weights = ids + sizes[1]
        segments = weights + sizes[2]
        self._at = segments + sizes[3]
        return Packed(sent[begin:ids], sent[ids:weights], sent[weights:segments], sent[segments : self._at])


def _restored(line: _Line, file: str, parts: _Parts) -> Found:
    number, other, note, present, left, damaged, value = line
    row = Row(number, None, "", "", other, note)
    if len(value) == 2:
        return ReadRow(row, present, RowKey(*value), left, damaged)
    ending, train, held_out, characters, held, key = value
    trees = RowTrees(
        Source(file, number),
        _KEPT if ending == _PLAIN else Rendered((), *ending),
        (None if train is None else parts.packed(train), None if held_out is None else parts.packed(held_out)),
        characters,
        held,
        key=None if key is None else RowKey(*key),
    )
    return ReadRow(row, present, trees, left, damaged)
