"""Files that are either there as a whole or not at all, and words for what went wrong while writing."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from medicalgpt.errors import RunError

_FULL = (errno.ENOSPC, errno.EDQUOT)


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
    except OSError as error:
        raise RunError(f"{path} could not be written: {explain(error, path.parent)}") from error
    finally:
        with suppress(OSError):
            temp.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` in UTF-8; a lone surrogate, which UTF-8 cannot hold, becomes its backslash escape."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def explain(error: BaseException, folder: Path) -> str:
    """The reason in words and, when the disk is full, what to do about it."""
    if any(_says_full(link) for link in _chain(error)):
        return f"the disk is full ({_free(folder)}); free some space or choose an output_dir on a larger disk"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({_free(folder)})"
    return f"{type(error).__name__}: {error} ({_free(folder)})"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _says_full(error: BaseException) -> bool:
    # Writers in other languages (safetensors) pass the message on, but not the number.
    return (isinstance(error, OSError) and error.errno in _FULL) or "No space left on device" in str(error)


def _free(folder: Path) -> str:
    for place in (folder, *folder.parents):
        with suppress(OSError):
            return f"{shutil.disk_usage(place).free / 1e6:,.0f} MB free in {place}"
    return "free space unknown"
