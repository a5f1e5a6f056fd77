"""Work in progress: a hidden folder that is gone when its process is done with it, or found out to be dead by the next one.

A process holds a lock on its folder as long as it lives; the kernel, or the server of a network file system, frees it with the
process. Where another machine wrote the folder, or locks do not work, a free lock alone proves nothing: then it goes
only after a day in which nothing in it changed.
"""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

_LOCK: Final = ".lock"
_OWNER: Final = ".owner"  # the machine; a file of its own, as taking the lock empties that one
_QUIET: Final = 24 * 3600.0  # seconds


@contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder `parent`/`prefix`…, readable by its owner alone, and delete it when the block ends.

    What killed processes left under this prefix is deleted first.

    Raises:
        OSError: no folder can be made there.
    """
    sweep(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))  # mode 0700
    lock = _lock(folder)
    try:
        with suppress(OSError):  # without locks it counts as alive for a day
            lock.acquire()
            (folder / _OWNER).write_text(_machine(), encoding="utf-8")
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path, prefix: str) -> list[Path]:
    """Delete the folders `parent`/`prefix`… that no living process works in; returns them."""
    gone = []
    for folder in sorted(parent.glob(f"{prefix}*")):
        with suppress(OSError):  # another process sweeps as well
            if folder.is_dir() and not folder.is_symlink() and _abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
                gone.append(folder)
    return gone


def _abandoned(folder: Path) -> bool:
    if not (folder / _LOCK).exists():  # just made, or by a version that took no lock
        return _quiet(folder)
    lock = _lock(folder)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError:
        return _quiet(folder)
    try:
        owner = (folder / _OWNER).read_text(encoding="utf-8") if (folder / _OWNER).is_file() else ""
        return owner == _machine() or _quiet(folder)
    finally:
        lock.release()


def _lock(folder: Path) -> FileLock:
    return FileLock(folder / _LOCK, thread_local=False, preserve_lock_file=True)


def _quiet(folder: Path) -> bool:
    """Whether nothing in it has changed for a day."""
    inside = (p for p in folder.rglob("*") if p.name != _LOCK)
    newest = max((p.stat(follow_symlinks=False).st_mtime for p in (folder, *inside)), default=0.0)
    return time.time() - newest > _QUIET


def _machine() -> str:
    """One start of one machine: containers on it share its locks, another machine may bear the same name."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{socket.gethostname()} {os.name}"
