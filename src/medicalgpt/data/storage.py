"""How a data file is stored: plain, compressed, or as a member of a .zip archive; opened as bytes, within bounds.

A member's path is that of its archive and its name in it, `ward.zip/rows.jsonl`, and works wherever a file's path does.
"""

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from medicalgpt.errors import DataError

COMPRESSIONS: Final = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
ARCHIVE: Final = ".zip"

FREE_SIZE: Final = 256 << 20
"""Bytes that anything may expand to."""
MOST_EXPANSION: Final = 250
"""Beyond FREE_SIZE, how often its compressed size a file may expand to. Text seldom reaches 50."""

_BUFFER: Final = 128 << 10
_MOST_MEMBERS: Final = 100_000
_DAMAGE: Final = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile)


class ExpandsTooFar(DataError):
    """A compressed file holds far more than its size lets one expect."""


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Within the block, an OSError says that this file cannot be read. Raises DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from None


def compression(path: Path) -> str:
    """How the name says that a file is compressed: "gzip", "bzip2", "xz", "zstd", or "none"."""
    return COMPRESSIONS.get(path.suffix.lower(), "none")


def storage(path: Path) -> str:
    """The compression and the archive of a file, in words: "none", "gzip", "zip", "gzip in zip"."""
    packed = compression(path)
    if split_member(path) is None:
        return packed
    return "zip" if packed == "none" else f"{packed} in zip"


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive."""
    return path.suffix.lower() == ARCHIVE


def split_member(path: Path) -> tuple[Path, str] | None:
    """The archive and the name within it where a path leads into one."""
    for parent in path.parents:
        if is_archive(parent) and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return None


def stored(path: Path) -> Path:
    """The file on disk: the archive of a member, else the file itself."""
    member = split_member(path)
    return path if member is None else member[0]


def members(archive: Path) -> dict[str, zipfile.ZipInfo]:
    """Name → entry of every file in an archive, links and encrypted ones included, folders left out.

    Raises:
        DataError: no readable archive, entries that share bytes or a name, more than 100,000 of them.
        OSError: it cannot be opened.
    """
    return _opened(archive)[1]


def _opened(archive: Path) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    state = archive.stat()
    return _directory(archive, (state.st_mtime_ns, state.st_size, state.st_ino, os.getpid()))


@lru_cache(maxsize=4)  # an archive of many files has its list of them read once; a changed one, or a fork, begins anew
def _directory(archive: Path, state: tuple[int, ...]) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    try:
        with _places_outside():
            opened = zipfile.ZipFile(archive)
    except (*_DAMAGE, ValueError, NotImplementedError):
        raise DataError(f"{archive}: not a zip archive, or a damaged one; fetch or pack it again") from None
    entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    if len(entries) > _MOST_MEMBERS or sum(entry.compress_size for entry in entries) > state[1]:
        raise DataError(
            f"{archive}: the archive has {len(entries)} entries, which are more than {_MOST_MEMBERS} or overlap; unpack it "
            "yourself and name the folder, if you trust it"
        )
    found = {_member_name(entry): entry for entry in entries}
    if len(found) < len(entries):
        raise DataError(f"{archive}: two entries have the same name; unpack it and keep the one that is meant")
    return opened, found


def _member_name(entry: zipfile.ZipInfo) -> str:
    """The name; zipfile takes one without the UTF-8 flag for code page 437, where Chinese Windows writes GBK."""
    name = PurePosixPath(entry.filename).as_posix()
    if not entry.flag_bits & 0x800 and not name.isascii():
        for codec in ("utf-8", "gb18030"):
            try:
                return name.encode("cp437").decode(codec)
            except UnicodeError:
                continue
    return name


def is_safe_name(name: str) -> bool:
    """Whether a member's name stays below its archive, so that its path says where it lies."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def is_link(entry: zipfile.ZipInfo) -> bool:
    """Whether a member is a symbolic link, whose content is only a path."""
    return stat.S_ISLNK(entry.external_attr >> 16)


def stored_size(path: Path) -> int:
    """Bytes of the file, or of the archive's member, as it lies there: compressed where it is.

    Raises:
        DataError: a damaged archive, no such member. OSError.
    """
    member = split_member(path)
    if member is None:
        return path.stat().st_size
    return _entry(*member)[1].compress_size


def open_bytes(path: Path) -> BinaryIO:
    """Open for reading, decompressed by the ending of the name; never blocks.

    Raises:
        DataError: a pipe or device, a damaged or encrypted archive, no such member; while reading, damaged data, or
            more than FREE_SIZE bytes and MOST_EXPANSION times the compressed size (ExpandsTooFar).
        OSError: a file that cannot be read.
    """
    member, packed = split_member(path), compression(path)
    if member is None:
        raw = open_regular(path)
        if packed == "none":
            return raw
        size = os.fstat(raw.fileno()).st_size
        if size == 0:  # nothing at all is no damage
            return raw
    else:
        raw, size = _open_member(*member)
    stream = raw if packed == "none" else _DECOMPRESSORS[packed](raw)
    return io.BufferedReader(_Expanded(stream, raw, path, max(FREE_SIZE, MOST_EXPANSION * size)), _BUFFER)


@contextmanager
def seekable(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file of any storage, to be read in any order; what is packed is unpacked into a temporary file.

    Raises:
        DataError: as `open_bytes`. OSError.
    """
    with open_bytes(path) as raw:
        if storage(path) == "none":
            yield raw
            return
        with tempfile.TemporaryFile() as spare:
            shutil.copyfileobj(raw, spare, 1 << 20)
            spare.seek(0)
            yield spare


def open_regular(path: Path) -> BinaryIO:
    """Open a file's own bytes. Raises DataError for what is no regular file; OSError.

    Opening a pipe would wait for a writer, and a device may never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path}: this is no regular file; data is read more than once, so write it into a file first")
    return open(descriptor, "rb")


@contextmanager
def _places_outside() -> Iterator[None]:
    """Damaged archives name places before their begin, which the system finds invalid. Raises BadZipFile."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise zipfile.BadZipFile from None


def _entry(archive: Path, name: str) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
    opened, found = _opened(archive)
    if name not in found:
        raise DataError(f"{archive}/{name}: the archive has no such file")
    return opened, found[name]


def _open_member(archive: Path, name: str) -> tuple[BinaryIO, int]:
    """The member's stream and its compressed size."""
    opened, entry = _entry(archive, name)
    if entry.flag_bits & 1:
        raise DataError(f"{archive}/{name}: the file is encrypted; unpack the archive and name the folder")
    try:
        with _places_outside():
            return opened.open(entry), entry.compress_size  # type: ignore[return-value]  # IO[bytes] of a file
    except (*_DAMAGE, NotImplementedError):
        raise DataError(
            f"{archive}/{name}: the file is damaged or compressed in a way that is not read; unpack it, or pack it again"
        ) from None


def _zstd(stream: BinaryIO) -> BinaryIO:
    import pyarrow

    found: BinaryIO = pyarrow.CompressedInputStream(stream, "zstd")
    return found


def _gzip(stream: BinaryIO) -> BinaryIO:
    return gzip.GzipFile(fileobj=stream, mode="rb")  # type: ignore[return-value]  # a BufferedIOBase, as BZ2File


_DECOMPRESSORS: Final[dict[str, Callable[[BinaryIO], BinaryIO]]] = {
    "gzip": _gzip,
    "bzip2": bz2.BZ2File,  # type: ignore[dict-item]
    "xz": lzma.LZMAFile,  # type: ignore[dict-item]
    "zstd": _zstd,
}


class _Expanded(io.RawIOBase):
    """A decompressed stream that counts what comes out of it, and says in plain words what is wrong with it."""

    def __init__(self, stream: BinaryIO, raw: BinaryIO, path: Path, limit: int) -> None:
        self._stream, self._raw, self._path = stream, raw, path
        self._left = self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            count: int = self._stream.readinto(buffer)  # type: ignore[attr-defined]
        except (*_DAMAGE, OSError) as error:
            if isinstance(error, OSError) and error.errno:  # the disk's, not the data's
                raise
            kind = storage(self._path)
            raise DataError(
                f"{self._path}: the file is not {kind} data or is damaged; fetch or compress it again"
            ) from None
        self._left -= count
        if self._left < 0:
            raise ExpandsTooFar(
                f"{self._path}: the file expands to more than {self._limit >> 20} MiB, {MOST_EXPANSION} times its compressed "
                "size and more; decompress it yourself, if it is what you mean to read"
            )
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._stream.close()
            self._raw.close()
