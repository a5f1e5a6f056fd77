"""A file that comes over HTTP in as many pieces as the network makes of it: what is there is kept, and the rest asked for."""

import hashlib
import http.client
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock

from medicalgpt.errors import DataError
from medicalgpt.hub.address import NAMES, Address
from medicalgpt.hub.listing import RemoteFile

_BLOCK: Final = 1 << 20
_ATTEMPTS: Final = 5  # in one call
_BEHIND_THE_END: Final = 416

Open = Callable[[int], http.client.HTTPResponse]
"""Asks for a file from a byte on."""


@contextmanager
def part(folder: Path, name: str) -> Iterator[Path]:
    """Yield the place of a file's beginning below `folder`, which another process waits for.

    Raises:
        OSError: nothing can be written there.
    """
    below = folder / "parts"
    below.mkdir(parents=True, exist_ok=True)
    place = below / hashlib.sha256(name.encode()).hexdigest()[:32]
    lock = FileLock(place.with_suffix(".lock"))
    with suppress(OSError):  # a file system without locks: two processes fetch twice, and the SHA-256 tells
        lock.acquire()
    try:
        yield place
    finally:
        lock.release()


def complete(partial: Path, file: RemoteFile, address: Address, opened: Open) -> None:
    """Fetch what `partial` lacks of a file, and see that it is the file then; what was cut short stays for the next time.

    Raises:
        DataError: it was cut short again and again; or size or SHA-256 are others than the hub said: nothing is kept then.
        OSError, http.client.HTTPException: the network, or the disk.
    """
    if file.sha256 is None:  # nothing would tell whether two pieces belong together
        partial.unlink(missing_ok=True)
    partial.touch()
    for _ in range(_ATTEMPTS if file.sha256 else 1):
        have = partial.stat().st_size
        if have >= file.size or not _goes_on(opened, partial, have, file.size):
            break
    else:
        if file.sha256 and (have := partial.stat().st_size) < file.size:
            raise DataError(
                f"{address}: {file.path} was cut short after {have:,} of {file.size:,} bytes; try again: it goes on from there"
            )
    if partial.stat().st_size != file.size or not _is(partial, file):
        partial.unlink(missing_ok=True)
        raise DataError(
            f"{address}: {file.path} is not what {NAMES[address.hub]} says it is (size or SHA-256); nothing of it is kept; try again"
        )


def _goes_on(opened: Open, partial: Path, have: int, size: int) -> bool:
    """Fetch from the byte `have` on; whether the connection broke before the end of what the server meant to send."""
    try:
        with opened(have) as answer:
            _append(answer, partial, have, size)
            return bool(answer.length)
    except urllib.error.HTTPError as error:
        if error.code != _BEHIND_THE_END:
            raise
        error.close()
        return False


def _append(answer: http.client.HTTPResponse, partial: Path, have: int, size: int) -> None:
    """Write an answer behind the bytes that are there; from the first on where the server sends all of them again."""
    goes_on = answer.status == http.client.PARTIAL_CONTENT
    if goes_on and not (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
        raise http.client.HTTPException("another piece came than was asked for")
    left = size - have if goes_on else size
    with partial.open("ab" if goes_on else "wb") as out:
        while block := answer.read(min(_BLOCK, left + 1)):
            out.write(block)
            left -= len(block)
            if left < 0:
                return


def _is(partial: Path, file: RemoteFile) -> bool:
    if file.sha256 is None:
        return True
    with partial.open("rb") as stored:
        return hashlib.file_digest(stored, "sha256").hexdigest() == file.sha256.lower()
