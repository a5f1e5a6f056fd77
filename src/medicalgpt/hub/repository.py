"""A repository of a hub at one commit: which commit that is, which files it has, and each of them on disk."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from medicalgpt.disk.cache import cache_root
from medicalgpt.disk.failures import LARGER_CACHE
from medicalgpt.errors import DataError
from medicalgpt.hub.address import Address, Hub, is_commit
from medicalgpt.hub.huggingface import HuggingFace
from medicalgpt.hub.listing import RemoteFile, checked, keep, kept_commit, kept_files, not_kept
from medicalgpt.hub.modelscope import ModelScope

_HUBS: Final[dict[Hub, HuggingFace | ModelScope]] = {"hf": HuggingFace(), "ms": ModelScope()}


def commit_of(address: Address) -> str:
    """The commit that the address's revision is now; without a network, what it was when it was last asked for.

    Raises:
        DataError: there is no such repository or revision, it cannot be reached, or it is not in the cache.
    """
    if address.revision is not None and is_commit(address.revision):
        return address.revision
    hub = _HUBS[address.hub]
    if offline():
        commit = kept_commit(address) or hub.kept_commit(address)
        if commit is None:
            raise not_kept(address, "which commit it is")
        return commit
    commit = hub.commit(address)
    keep(address, commit, None)
    return commit


def offline() -> bool:
    """Whether HF_HUB_OFFLINE says that there is no network, which counts for both hubs."""
    from huggingface_hub import is_offline_mode

    return bool(is_offline_mode())


def listed(address: Address, commit: str) -> tuple[RemoteFile, ...]:
    """The files of a commit, sorted by path.

    Raises:
        DataError: it cannot be reached, is not in the cache, or lists what can be no files.
    """
    known = kept_files(address, commit)
    if known is not None:
        return known
    hub = _HUBS[address.hub]
    if offline():
        cached = hub.kept_files(address, commit)
        if cached is None:
            raise not_kept(address, "the list of its files")
        return checked(address, cached)
    found = checked(address, hub.files(address, commit))
    keep(address, commit, found)
    return found


def missing(address: Address, commit: str, files: Iterable[RemoteFile]) -> list[RemoteFile]:
    """Those of the files that are not on disk yet."""
    hub = _HUBS[address.hub]
    return [file for file in files if hub.here(address, commit, file) is None]


def fetched(address: Address, commit: str, file: RemoteFile) -> Path:
    """One file on disk.

    Raises:
        DataError: it cannot be fetched, has no room, or is not as large as it was said to be.
    """
    here = _HUBS[address.hub].here(address, commit, file)
    if here is not None and here.stat().st_size == file.size:
        return here
    free = shutil.disk_usage(cache_root()).free
    if file.size > free and not offline():
        raise DataError(
            f"{address}: {file.path} has {file.size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free for the cache; free some "
            f"space or {LARGER_CACHE}"
        )
    found = _HUBS[address.hub].fetch(address, commit, file)
    if found.stat().st_size != file.size:
        raise DataError(f"{address}: {file.path} is not as large as the hub says; delete {found} and try again")
    return found
