"""The parts of an Office document: a zip archive of XML, opened within bounds, whatever its name says of where it lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, BinaryIO, Final
from zipfile import BadZipFile, ZipFile, ZipInfo

from medicalgpt.errors import DataError

MOST_BYTES: Final = 256 << 20
"""Of all parts, unpacked."""
_MOST_PARTS: Final = 10_000
_OLD: Final = (
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # a compound file: what Office wrote before 2007, and a password's wrapping
)


def refuse_large(parts: Sequence[ZipInfo], path: Path, remedy: str) -> None:
    """Raises DataError for parts that would unpack to more than MOST_BYTES, or are too many; a part never gives more than it declares.

    Args:
        remedy: what to do, for the end of the message.
    """
    size = sum(part.file_size for part in parts)
    if size > MOST_BYTES or len(parts) > _MOST_PARTS:
        raise DataError(
            f"{path}: {len(parts)} parts of {size >> 20} MiB; allowed: {_MOST_PARTS} parts of {MOST_BYTES >> 20} MiB in all; {remedy}"
        )


class Package:
    """The parts of a document. Raises DataError for what is none, is encrypted, or would unpack to too much."""

    def __init__(self, raw: BinaryIO, path: Path) -> None:
        self._path = path
        if raw.read(len(_OLD)) == _OLD:
            raise DataError(
                f"{path}: a document with a password, or one of Office before 2007 under a new name; save it without a password, "
                "in today's format"
            )
        raw.seek(0)
        try:
            self._archive = ZipFile(raw)
            parts = self._archive.infolist()
        except (BadZipFile, ValueError, NotImplementedError, OSError) as error:
            raise self.damaged(error) from None
        self._sizes = {part.filename: part.file_size for part in parts}
        refuse_large(parts, path, "save it in smaller files, without its pictures, or as plain text")

    def __contains__(self, name: str) -> bool:
        return name in self._sizes

    def open(self, name: str) -> IO[bytes]:
        """A part, which never gives more than it declares. Raises the errors of zipfile."""
        return self._archive.open(name)

    def damaged(self, error: Exception) -> DataError:
        """What to say of a document that cannot be read."""
        return DataError(f"{self._path}: not a readable document ({type(error).__name__}); open and save it again")
