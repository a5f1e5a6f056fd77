"""Files that are either there as a whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

from medicalgpt.disk.failures import explain
from medicalgpt.errors import RunError


def sync_file(path: Path) -> None:
    """Push what was written to a file, and its name in its folder, to the disk; nothing where there is no such file.

    Raises:
        OSError: the disk failed.
    """
    try:
        with path.open("r+b") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
    except FileNotFoundError:
        return
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Push the names in a folder to the disk: without it a power cut takes back what was renamed into place."""
    with suppress(OSError):  # not every file system (nor Windows) can flush a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step that survives a power cut.

    Raises:
        RunError: the file could not be written; what was there before is still there.
    """
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temp.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temp, path)
        sync_folder(path.parent)
    except OSError as error:
        raise RunError(f"{path} could not be written: {explain(error, path.parent, len(data))}") from error
    finally:
        with suppress(OSError):
            temp.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` in UTF-8; a lone surrogate, which UTF-8 cannot hold, becomes its backslash escape."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))
