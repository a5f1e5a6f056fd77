"""Deleting runs: only what is a run, only what a run makes, nothing behind a link, and nothing that is in use."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from medicalgpt.browse.files import size_of
from medicalgpt.browse.find import find, info_of
from medicalgpt.browse.info import RunInfo
from medicalgpt.browse.made import MADE
from medicalgpt.browse.users import require_unused, usual_among
from medicalgpt.errors import RunError
from medicalgpt.evaluation.names import ITEMS, LEAKAGE, PROGRESS, RESULTS
from medicalgpt.pipeline.plan import GATES, PLAN, SUMMARY
from medicalgpt.runs import trust_file
from medicalgpt.runs.folder import LOCK
from medicalgpt.runs.lock import FolderLock, held
from medicalgpt.runs.staging import remove

_RUN: Final = tuple(MADE)
_PIPELINE: Final = (
    SUMMARY,
    "summary.md",
    "loss.png",
    "rewards.json",
    "scores",
    GATES,
    trust_file.PAGE,
    trust_file.NAME,
    "evaluation",
    PLAN,
)
_EVALUATION: Final = (RESULTS, ITEMS, PROGRESS, LEAKAGE, LOCK)
_OURS: Final = {"run": _RUN, "corpus": _RUN, "pipeline": _PIPELINE, "evaluation": _EVALUATION, "leakage": _EVALUATION}
"""What each kind of folder holds of ours; what tells the kind comes last, so that a broken off deletion can be repeated."""


@dataclass(frozen=True)
class Deleted:
    """What was deleted, how many bytes, and what was left because no run made it."""

    path: Path
    size: int
    kept: tuple[str, ...]


def check_delete(folder: Path, force: bool = False, among: Path | None = None) -> RunInfo:
    """What would be deleted.

    Args:
        force: also what runs, and what others go on from.
        among: where those are looked for that go on from it; None: the folder that holds it.

    Raises:
        RunError: it is a link, nothing that is listed, running, or others go on from it.
    """
    if folder.is_symlink():
        raise RunError(f"{folder} is a link; name the folder itself, or remove the link with rm")
    found = info_of(folder)
    if found is None:
        raise RunError(f"{folder} is no run, corpus, pipeline or evaluation, so nothing in it is deleted")
    if not force:
        _require_idle(folder)
        require_unused(folder, among or usual_among(folder))
    return found


def _require_idle(folder: Path) -> None:
    for lock in (folder / LOCK, *(one.path / LOCK for one in find(folder).runs)):
        if held(lock):
            raise RunError(f"{lock.parent} is running; stop it first (Ctrl-C saves a checkpoint), or give --force")


def delete(folder: Path, force: bool = False, among: Path | None = None) -> Deleted:
    """Delete a run, corpus, pipeline or evaluation. Files that none of them makes stay, and so does then the folder.

    Raises:
        RunError: as `check_delete`, or the disk failed.
    """
    found = check_delete(folder, force, among)
    try:
        with _locked(folder, force):
            kept = tuple(_delete(found))
    except OSError as error:
        raise RunError(f"{error.filename or folder} could not be deleted: {error.strerror}; try again") from error
    return Deleted(folder, found.size - (size_of(folder) if folder.is_dir() else 0), kept)


@contextmanager
def _locked(folder: Path, force: bool) -> Iterator[None]:
    """So that no process begins in the folder meanwhile."""
    if force or not (folder / LOCK).is_file():
        yield
        return
    lock = FolderLock(folder / LOCK)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _delete(found: RunInfo) -> Iterator[str]:
    """Delete what is ours in a folder, inner runs first; yields what is kept."""
    folder = found.path
    if found.kind == "pipeline":
        for one in find(folder).runs:
            if one.path.parent == folder and one.kind in ("run", "corpus"):
                yield from (f"{one.path.name}/{name}" for name in _delete(one))
    for name in _OURS[found.kind]:
        remove(folder / name)
    for path in sorted(folder.iterdir()):
        if _is_leftover(path.name):
            remove(path)
    yield from (path.name for path in sorted(folder.iterdir()))
    with suppress(OSError):  # there is something in it that is not ours
        folder.rmdir()


def _is_leftover(name: str) -> bool:
    """Files of a halted run, and what a killed process leaves half written or half deleted."""
    return (name.startswith("nonfinite-step-") and name.endswith(".json")) or (
        name.startswith(".") and name.endswith((".tmp", ".old", ".del"))
    )
