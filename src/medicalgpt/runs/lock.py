"""One process at a time trains into a run folder."""

import logging
import os
import sys
import weakref
from contextlib import suppress
from pathlib import Path

from medicalgpt.errors import RunError

if sys.platform != "win32":
    import fcntl

_log = logging.getLogger(__name__)


class FolderLock:
    """An advisory lock on a file, gone when its process dies. Without flock (Windows) it only notes the process id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock or fail at once.

        Raises:
            RunError: another holder has it; the message names its process.
        """
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise RunError(f"{self.path.parent} cannot be used as a run folder: {error.strerror}") from error
        try:
            self._flock(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        _held.add(self)
        with suppress(OSError):  # the number only helps people; a full disk must not stop a run here
            os.ftruncate(fd, 0)
            os.write(fd, str(os.getpid()).encode())

    def _flock(self, fd: int) -> None:
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode("ascii", "replace") or "of unknown number"
            raise RunError(
                f"{self.path.parent} is in use by process {holder}: "
                "wait until it ends, stop it, or choose another output_dir"
            ) from None
        except OSError as error:  # some network file systems have no locks
            _log.warning("%s: no lock (%s); start only one process for this folder", self.path, error.strerror)

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._fd is not None:
            with suppress(OSError):
                os.ftruncate(self._fd, 0)
            self.drop()

    def drop(self) -> None:
        """Close the file without touching what it says."""
        fd, self._fd = self._fd, None
        _held.discard(self)
        if fd is not None:
            os.close(fd)


_held: weakref.WeakSet[FolderLock] = weakref.WeakSet()


def _drop_all() -> None:
    for lock in list(_held):
        lock.drop()


if sys.platform != "win32":
    # A forked data worker shares the lock and may outlive a killed trainer: it must not keep the folder locked.
    os.register_at_fork(after_in_child=_drop_all)
