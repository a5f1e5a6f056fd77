"""One process at a time trains into a run folder."""

import logging
import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from medicalgpt.errors import RunError

_log = logging.getLogger(__name__)


class FolderLock:
    """An advisory lock on a file, gone when its process dies; a forked child does not inherit it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # preserve_lock_file also keeps filelock from falling back to a marker file, which a killed process leaves behind.
        self._lock = FileLock(path, thread_local=False, preserve_lock_file=True, on_acquired=_write_pid)

    def acquire(self) -> None:
        """Take the lock or fail at once.

        Raises:
            RunError: another holder has it; the message names its process.
        """
        if self._lock.is_locked:  # filelock would count this as a nested hold
            raise self._in_use()
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise self._in_use() from None
        except OSError as error:
            if error.filename is not None:  # opening the file failed, not locking it
                raise RunError(f"{self.path.parent} cannot be used as a run folder: {error.strerror}") from error
            # Some network file systems have no locks.
            _log.warning("%s: no lock (%s); start only one process for this folder", self.path, error.strerror)

    def _in_use(self) -> RunError:
        try:
            holder = self.path.read_bytes()[:32].decode("ascii", "replace")
        except OSError:  # Windows lets nobody else read a locked file
            holder = ""
        return RunError(
            f"{self.path.parent} is in use by process {holder or 'of unknown number'}: "
            "wait until it ends, stop it, or choose another output_dir"
        )

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._lock.is_locked:
            with suppress(OSError):
                os.truncate(self.path, 0)
            self._lock.release()


def _write_pid(fd: int) -> None:
    with suppress(OSError):  # the number only helps people; a full disk must not stop a run here
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
