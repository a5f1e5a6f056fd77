"""Words for what went wrong while writing: what is full, how much is needed where that is known, and what to do."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from medicalgpt.errors import RunError

LARGER_OUTPUT: Final = "choose an output_dir on a larger disk"
LARGER_CACHE: Final = "set MEDICALGPT_CACHE to a folder on a larger disk (what lies in the old one may be deleted)"


def explain(error: BaseException, folder: Path, needs: int | None = None, remedy: str = LARGER_OUTPUT) -> str:
    """The reason in words and, when the disk or a quota is full, what to do about it.

    Args:
        folder: where was written.
        needs: bytes that the whole takes, where that is known.
        remedy: what helps beside making room, for the place that was written to.
    """
    full = next(filter(None, map(_full, _chain(error))), None)
    if full is None:
        said = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        return f"{said} ({_free(folder)})"
    wanted = f"{_megabytes(needs)} are needed" if needs else ""
    if full == errno.EDQUOT:  # the disk's free space says nothing then
        where = f"{wanted} in {folder}".strip()
        return f"your quota is used up ({where}); delete files of yours there, or {remedy}"
    return f"the disk is full ({', '.join(filter(None, (wanted, _free(folder))))}); free some space or {remedy}"


@contextmanager
def writing(what: str, folder: Path, needs: int | None = None, remedy: str = LARGER_OUTPUT) -> Iterator[None]:
    """A failed write inside becomes a RunError that names `what`, the folder and what to do."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{what} could not be written to {folder}: {explain(error, folder, needs, remedy)}") from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _full(error: BaseException) -> int | None:
    """ENOSPC or EDQUOT, or None for anything else."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return error.errno
    # Writers in other languages (safetensors, torch's archives) pass the message on, but not the number.
    said = str(error)
    if "No space left on device" in said:
        return errno.ENOSPC
    return errno.EDQUOT if "Disk quota exceeded" in said else None


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.{0 if size >= 10_000_000 else 1}f} MB"


def _free(folder: Path) -> str:
    for place in (folder, *folder.parents):
        with suppress(OSError):
            return f"{_megabytes(shutil.disk_usage(place).free)} free in {place}"
    return "free space unknown"
