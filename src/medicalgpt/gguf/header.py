"""The header of a GGUF file: what it says about itself, and where its tensors lie.

The reader of the package `gguf` takes seconds for a vocabulary; this one skips what nobody asks for.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from medicalgpt.errors import ModelError

_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Codes of `struct` by GGUF's value types."""

_LONGEST = 1 << 31  # bytes of one string or array; more is damage


Number = int | float | bool
Metadata = dict[str, str | Number | list[Number]]
"""What a file says about itself, by key; an array of strings is its length."""


@dataclass(frozen=True)
class Header:
    """`metadata` has arrays of strings as their lengths. `end` is where the last tensor ends, in bytes."""

    metadata: Metadata
    types: frozenset[str]
    end: int


def number_of(metadata: Metadata, key: str, default: int = 0) -> int:
    """A whole number of the metadata; the default where the key is absent."""
    found = metadata.get(key, default)
    return default if isinstance(found, list) else int(found)


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file.

    Raises:
        ModelError: it is none, it is cut off within its header, or it is of a version or has a type not known here.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelError(f"{path} is no GGUF file (it does not begin with the letters GGUF); download it again")
            return _read(path, file)
    except (EOFError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is cut off or damaged: its header ends too early; download it again") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def _read(path: Path, file: BinaryIO) -> Header:
    import gguf

    version, tensors, facts = _unpack(file, "IQQ")
    if version not in _VERSIONS:
        raise ModelError(f"{path} is of GGUF version {version}; allowed: {' and '.join(map(str, _VERSIONS))}")
    metadata: Metadata = {}
    for _ in range(facts):
        key = _string(file)
        metadata[key] = _value(file, _unpack(file, "I")[0])
    types, end = set(), 0
    for _ in range(tensors):
        _string(file)
        (dimensions,) = _unpack(file, "I")
        shape = _unpack(file, f"{min(dimensions, 8)}Q")
        code, offset = _unpack(file, "IQ")
        try:
            kind = gguf.GGMLQuantizationType(code)
        except ValueError:
            raise ModelError(
                f"{path} has tensors of type {code}, which is not known here; is the file newer?"
            ) from None
        block, size = gguf.GGML_QUANT_SIZES[kind]
        types.add(kind.name)
        end = max(end, offset + math.prod(shape) // block * size)
    align = number_of(metadata, "general.alignment", 32) or 1
    return Header(metadata, frozenset(types), -(-file.tell() // align) * align + end)


def _value(file: BinaryIO, kind: int) -> "str | Number | list[Number]":
    if kind == _STRING:
        return _string(file)
    if kind in _NUMBERS:
        (number,) = _numbers(file, _NUMBERS[kind])
        return number
    if kind != _ARRAY:
        raise EOFError
    inner, count = _unpack(file, "IQ")
    if inner in _NUMBERS:
        return list(_numbers(file, f"{count}{_NUMBERS[inner]}"))
    for _ in range(count):
        _value(file, inner)
    return count


def _string(file: BinaryIO) -> str:
    return _bytes(file, _unpack(file, "Q")[0]).decode()


def _unpack(file: BinaryIO, code: str) -> tuple[int, ...]:
    return struct.unpack("<" + code, _bytes(file, struct.calcsize("<" + code)))


def _numbers(file: BinaryIO, code: str) -> tuple[Number, ...]:
    return struct.unpack("<" + code, _bytes(file, struct.calcsize("<" + code)))


def _bytes(file: BinaryIO, count: int) -> bytes:
    data = file.read(count) if count < _LONGEST else b""
    if len(data) < count:
        raise EOFError
    return data
