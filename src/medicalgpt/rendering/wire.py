"""Rows on their way between processes: as plain values, since `pickle` calls Python for every dataclass and named tuple.

The bytes of trees lie together behind them: copied once, where `pickle` would do so again and again as its output grows. Ids and
weights take as few bytes as their values allow, so that what comes of a chunk of rows fits into a pipe: a process that must wait until
the other one reads does nothing meanwhile. A row about which there is more to say than of nearly all travels as it is.
"""

import pickle
from collections.abc import Sequence
from struct import Struct
from typing import IO, Final, NamedTuple

import numpy as np

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
_Kinds = tuple[type[np.generic], type[np.generic]]

_SIZE: Final = Struct("=q")
_IDS: Final[_Kinds] = (np.int32, np.uint16)  # of vocabularies up to 65,536
_WEIGHTS: Final[_Kinds] = (np.float32, np.uint8)  # nearly all are 0 or 1
_PLAIN: Final[_Ending] = ("kept", "", False, False)
_KEPT: Final = Rendered(())


class _Laid(NamedTuple):
    """Parts of trees, kind by kind: where segments and sources of them are is in `places`."""

    ids: list[bytes]
    weights: list[bytes]
    places: list[bytes]

    def put(self, packed: Packed) -> _Sizes:
        """Lay the bytes of trees behind those of the ones before."""
        self.ids.append(packed.ids)
        self.weights.append(packed.weights)
        self.places.extend((packed.segments, packed.sources))
        return len(packed.ids), len(packed.weights), len(packed.segments), len(packed.sources)


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
    laid = _Laid([], [], [])
    lines = [_shortened(read, laid) for read in found]
    ids, weights = (b"".join(parts) for parts in laid[:2])
    small_ids, small_weights = _smaller(ids, _IDS), _smaller(weights, _WEIGHTS)
    sizes = (len(small_ids), len(small_weights), len(ids), len(weights))
    sent = pickle.dumps((True, (lines, sizes)))
    return b"".join([_SIZE.pack(len(sent)), sent, small_ids, small_weights, *laid.places])


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
    found, sizes = value
    parts = _Parts(sent, begin, sizes)
    return [line if isinstance(line, ReadRow) else _restored(line, file, parts) for line in found]


def _smaller(wide: bytes, kinds: _Kinds) -> bytes:
    """Numbers of the first kind in the second, where that is without any loss; else as they are."""
    kind, smaller = kinds
    values = np.frombuffer(wide, kind)
    with np.errstate(invalid="ignore"):
        small = values.astype(smaller)
    return small.tobytes() if small.astype(kind).tobytes() == wide else wide


def _wide(sent: memoryview, size: int, kinds: _Kinds) -> bytes:
    """The numbers again, which took `size` bytes."""
    kind, smaller = kinds
    return bytes(sent) if len(sent) == size else np.frombuffer(sent, smaller).astype(kind).tobytes()


def _shortened(read: Found, laid: _Laid) -> Found | _Line:
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
        None if train is None else laid.put(train),
        None if held_out is None else laid.put(held_out),
        value.characters,
        value.held_out,
        None if key is None else (key.key, key.size),
    )
    return row.number, row.line, row.note, read.present, read.left, read.damaged, trees


class _Parts:
    """The bytes of trees, taken in the order in which they were laid."""

    def __init__(self, sent: bytes, begin: int, sizes: _Sizes) -> None:
        weights = begin + sizes[0]
        places = weights + sizes[1]
        self._sent, self._places, self._id, self._weight = sent, places, 0, 0
        self._ids = _wide(memoryview(sent)[begin:weights], sizes[2], _IDS)
        self._weights = _wide(memoryview(sent)[weights:places], sizes[3], _WEIGHTS)

    def packed(self, sizes: _Sizes) -> Packed:
        """The next trees."""
        id_, weight, segments = self._id, self._weight, self._places
        self._id = id_ + sizes[0]
        self._weight = weight + sizes[1]
        sources = segments + sizes[2]
        self._places = sources + sizes[3]
        return Packed(
            self._ids[id_ : self._id],
            self._weights[weight : self._weight],
            self._sent[segments:sources],
            self._sent[sources : self._places],
        )


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
