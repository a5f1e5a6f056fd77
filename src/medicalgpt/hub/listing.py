"""The files of a repository at one commit, as a hub names them: checked, and kept for when there is no network."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from medicalgpt.disk.cache import cache_root
from medicalgpt.disk.private import private_files
from medicalgpt.errors import DataError
from medicalgpt.hub.address import NAMES, Address, is_commit

MOST_FILES: Final = 100_000
_LONGEST_NAME: Final = 1024
_MOST_BYTES: Final = 64 << 20  # of a kept listing


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository: its path there, its size in bytes and, where the hub says it, its SHA-256."""

    path: str
    size: int
    sha256: str | None = None


def checked(repo: Address, files: Iterable[RemoteFile]) -> tuple[RemoteFile, ...]:
    """The files sorted by path; those whose names lead elsewhere or cannot be files are refused.

    Raises:
        DataError: such a name, the same one twice, a size that is none, more than MOST_FILES.
    """
    found: dict[str, RemoteFile] = {}
    for file in files:
        if len(found) == MOST_FILES:
            raise DataError(f"{repo.place}: more than {MOST_FILES:,} files; download it yourself and name the folder")
        if not _is_safe(file.path) or file.size < 0 or file.path in found:
            raise DataError(
                f"{repo.place}: the list of its files holds a name or size that no file can have; "
                f"the {'model' if repo.kind == 'model' else 'data set'} is damaged or hostile: nothing of it is fetched"
            )
        found[file.path] = file
    return tuple(found[path] for path in sorted(found))


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    plain = path.isprintable() and "\\" not in path and ":" not in parts[0]
    return plain and 0 < len(path) <= _LONGEST_NAME and all(part not in ("", ".", "..") for part in parts)


def folder_of(address: Address) -> Path:
    """Where what is known of a repository lies in this package's cache. Raises ModelError as `cache_root`."""
    folder = cache_root() / "hub" / address.hub
    return (folder / "models" if address.kind == "model" else folder) / address.repo.replace("/", "--")


def keep(address: Address, commit: str, files: Sequence[RemoteFile] | None) -> None:
    """Note which commit the address's revision is now, and the files of a commit."""
    folder = folder_of(address)
    if files is not None:
        _write(folder / f"{commit}.json", [asdict(file) for file in files])
    elif address.revision != commit:
        _write(folder / _ref(address), commit)


def kept_commit(address: Address) -> str | None:
    """The commit that the address's revision was when it was last asked for."""
    found = _read(folder_of(address) / _ref(address))
    return found if isinstance(found, str) and is_commit(found) else None


def kept_files(address: Address, commit: str) -> tuple[RemoteFile, ...] | None:
    """The files of a commit as `keep` noted them; None where it did not, or where the note is damaged."""
    found = _read(folder_of(address) / f"{commit}.json")
    try:
        return checked(address, (RemoteFile(**file) for file in found)) if isinstance(found, list) else None
    except (TypeError, AttributeError):
        return None


def not_kept(address: Address, what: str) -> DataError:
    """The error for what is not in the cache while HF_HUB_OFFLINE says that there is no network."""
    return DataError(
        f"{address}: {what} is not in the cache, and HF_HUB_OFFLINE=1 keeps this from asking {NAMES[address.hub]}; unset it once, "
        f"or name a local {'folder' if address.kind == 'model' else 'file'}"
    )


def _ref(address: Address) -> str:
    return f"ref-{quote(address.revision or '', safe='')}.json"


@private_files()
def _write(path: Path, value: object) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{id(value):x}")
        partial.write_text(json.dumps(value), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise DataError(
            f"the cache cannot be written to {path.parent}: {error.strerror}; set MEDICALGPT_CACHE"
        ) from None


def _read(path: Path) -> object:
    try:
        with path.open("rb") as file:
            return json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
