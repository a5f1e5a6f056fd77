"""One process at a time trains into a run folder."""

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from medicalgpt.errors import RunError

_log = logging.getLogger(__name__)
_PATIENCE: Final = 0.4  # seconds


class FolderLock:
    """An advisory lock on a file, gone when its process dies; a forked child does not inherit it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # preserve_lock_file also keeps filelock from falling back to a marker file, which a killed process leaves behind.
        self._lock = FileLock(path, thread_local=False, preserve_lock_file=True, on_acquired=_write_pid)

    def acquire(self) -> None:
        """Take the lock or fail within a moment.

        Raises:
            RunError: another holder has it; the message names its process.
        """
        if self._lock.is_locked:  # filelock would count this as a nested hold
            raise self._in_use()
        try:
            # Not at once: `held` of another process takes it for a moment.
            self._lock.acquire(timeout=_PATIENCE, poll_interval=_PATIENCE / 8)
        except Timeout:
            raise self._in_use() from None
        except OSError as error:
            if error.filename is not None:  # opening the file failed, not locking it
                raise RunError(
                    f"{self.path.parent} cannot be used as a run folder: {error.strerror}; choose another output_dir"
                ) from error
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


def held(path: Path) -> bool | None:
    """Whether a living process holds the lock on this file, without writing to it; None where nobody can tell."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        if sys.platform == "win32":  # which lets nobody else read a locked file
            os.read(handle, 1)
            return False
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except (BlockingIOError, PermissionError):
        return True
    except OSError:  # some network file systems have no locks
        return None
    finally:
        os.close(handle)


def _write_pid(fd: int) -> None:
    with suppress(OSError):  # the number only helps people; a full disk must not stop a run here
        os.ftruncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
