"""Folders that appear only when they are complete: written under a hidden name, checked in, then renamed.

Beside `step-20` there may be, after a crash: `.step-20.tmp` (half written), `.step-20.old` (the one being replaced) and
`.step-20.del` (being deleted). `recover` brings the folder back to its last complete state.
"""

import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from medicalgpt.disk.failures import explain
from medicalgpt.errors import ModelError, RunError
from medicalgpt.runs.atomic import sync_folder, write_text
from medicalgpt.runs.hashes import hash_file

COMPLETE = "complete.json"
_HASH_UP_TO = 16 << 20  # bytes: larger files are checked by size alone, so that a resume does not reread the weights

_log = logging.getLogger(__name__)


@contextmanager
def staged(
    target: Path,
    what: str,
    survivor: Callable[[], str],
    seal: Callable[[Path], None] | None = None,
    needs: int | None = None,
) -> Iterator[Path]:
    """Yield a hidden folder that becomes `target` when the block ends well, and vanishes when it does not.

    `what` names the thing in messages, `survivor()` says what is still usable, `seal` has the last word on the folder,
    `needs` is its size in bytes, where that is known.

    Raises:
        RunError: the block or the disk failed; whatever `target` was before, it still is. ModelError: as the block raised it.
    """
    temp = _beside(target, "tmp")
    try:
        recover(target)
        temp.mkdir(parents=True)
        yield temp
        _sync_files(temp)
        if seal is not None:
            seal(temp)
        _put_in_place(temp, target)
    except ModelError:  # what was to be saved is refused; nothing is wrong with the disk
        shutil.rmtree(temp, ignore_errors=True)
        raise
    except Exception as error:
        reason = explain(error, target.parent, needs)  # before the half-written files go: they are why the disk is full
        shutil.rmtree(temp, ignore_errors=True)
        raise RunError(f"{what} could not be saved: {reason}. {survivor()}") from error
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise


def recover(target: Path) -> None:
    """Clear away what a process that was killed while writing, replacing or deleting `target` left behind."""
    old = _beside(target, "old")
    if old.exists() and not target.exists():
        os.rename(old, target)
    for leftover in (old, _beside(target, "tmp"), _beside(target, "del")):
        if leftover.exists():
            shutil.rmtree(leftover)


def remove(path: Path) -> None:
    """Delete a file, a link (never what it points to), or a folder with all in it; what is not there is no error.

    A folder is renamed first: nobody takes what is left after a crash half-way for a whole one.

    Raises:
        OSError: the disk failed.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    doomed = _beside(path, "del")
    if doomed.is_dir() and not doomed.is_symlink():
        shutil.rmtree(doomed)
    os.rename(path, doomed)
    shutil.rmtree(doomed)


def discard(folder: Path) -> None:
    """`remove`, where a failure is no reason to end: it is logged."""
    try:
        remove(folder)
    except OSError as error:
        _log.warning("%s could not be deleted: %s", folder, error.strerror)


def write_complete(folder: Path, step: int) -> None:
    """Note every file of a checkpoint, so that a damaged one is noticed before it is used."""
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        size = path.stat().st_size
        entry: dict[str, int | str] = {"bytes": size}
        if size <= _HASH_UP_TO:
            entry["sha256"] = hash_file(path)
        files[path.relative_to(folder).as_posix()] = entry
    write_text(folder / COMPLETE, json.dumps({"step": step, "files": files}, indent=1) + "\n")


def damage(folder: Path, contents: bool = True) -> str | None:
    """What is wrong with a checkpoint folder, or None when every file is as it was written; without `contents`, which reads
    all small files, none is missing or of another size."""
    try:
        files = json.loads((folder / COMPLETE).read_bytes())["files"]
        for name, entry in files.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != entry["bytes"]:
                return f"{name} has {path.stat().st_size} bytes, {entry['bytes']} were written"
            if contents and entry.get("sha256", "") and hash_file(path) != entry["sha256"]:
                return f"the content of {name} changed"
    except FileNotFoundError:
        return f"{COMPLETE} is missing"
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RunError):
        return f"{COMPLETE} or a file it lists is unreadable"
    return None


def _beside(target: Path, ending: str) -> Path:
    return target.with_name(f".{target.name}.{ending}")


def _put_in_place(temp: Path, target: Path) -> None:
    old = _beside(target, "old")
    replaces = target.exists() or target.is_symlink()
    if replaces:
        os.rename(target, old)
    try:
        os.rename(temp, target)
    except OSError:
        if replaces:
            os.rename(old, target)
        raise
    sync_folder(target.parent)
    if replaces:
        discard(old)


def _sync_files(folder: Path) -> None:
    """Push every file to the disk: a full one must show now, not after the older checkpoint was deleted."""
    if sys.platform == "win32":  # only files open for writing can be flushed there
        return
    for path in folder.rglob("*"):
        if path.is_file():
            fd = os.open(path, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
    sync_folder(folder)
