"""Test files from a hub, where a user asks for them: through the hubs' own caches, and used only with the content that is wanted."""

from collections.abc import Callable
from pathlib import Path

from medicalgpt.errors import DataError
from medicalgpt.hub.address import parse
from medicalgpt.hub.dataset import RemoteFiles


def fetched(address: str, sha256: str, hash_of: Callable[[Path], str]) -> Path:
    """The file at an address of a hub, on disk.

    Raises:
        DataError: it cannot be fetched, is not in the cache and there is no network, or has other content.
    """
    place = parse(address)
    assert place is not None  # the test's schema says so
    remote = RemoteFiles.of(place, _any_kind)
    files = [file for file in remote.files if file.path == place.inside]
    if not files:
        raise DataError(f"{address}: there is no such file; a test names each of its files")
    found = remote.fetch(files[0])
    if hash_of(found) != sha256:
        raise DataError(
            f"{address} has other content than the test says: its SHA-256 is {hash_of(found)}, not {sha256}; it is not used. Name "
            "the commit behind @ that has the published file, or raise the test's version with a new sha256"
        )
    return found


def _any_kind(name: str) -> str:
    """A test's files may be of any type that its reader knows."""
    return Path(name).suffix or "file"
