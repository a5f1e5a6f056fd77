"""What the processes of a run do together although one of them does it: its result, its error and its files are everyone's."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import torch.distributed as dist

from medicalgpt.disk.private import private_files
from medicalgpt.errors import MedicalGPTError, RunError
from medicalgpt.training.launch import side_group

T = TypeVar("T")

_PIECE = 64 << 20  # bytes of a file that are sent at a time


def first_does(work: Callable[[], T]) -> T:
    """The first process does `work`, however long it takes, and all get what it gives (a value that can be pickled).

    Raises:
        SystemExit: `work` raised in the first process, where the error itself is raised.
    """
    group = side_group()
    if group is None:
        return work()
    said: list[tuple[bool, T | None]] = [(False, None)]
    failed: BaseException | None = None
    if dist.get_rank() == 0:
        try:
            said = [(True, work())]
        except Exception as error:
            failed = error
    dist.broadcast_object_list(said, src=0, group=group)
    if failed is not None:
        raise failed
    done, value = said[0]
    if not done:
        raise SystemExit(2)
    return value  # type: ignore[return-value]  # None only where nothing was done


def gathered(value: T) -> list[T]:
    """The values of all processes, by rank."""
    group = side_group()
    if group is None:
        return [value]
    out = [value] * dist.get_world_size()
    dist.all_gather_object(out, value, group=group)
    return out


def wait() -> None:
    """Go on when every process is here, whatever one of them had to do before."""
    group = side_group()
    if group is not None:
        dist.barrier(group=group)


def in_turn(work: Callable[[], T]) -> T:
    """Every process does `work`, on each machine one after another, so that its memory holds what one of them needs at a time.

    Raises:
        MedicalGPTError: what `work` raised in any of them.
    """
    if side_group() is None:
        return work()
    mine = int(os.environ.get("LOCAL_RANK", "0"))
    done: list[T] = []
    for turn in range(max(gathered(int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))):
        error: MedicalGPTError | None = None
        if turn == mine:
            try:
                done.append(work())
            except MedicalGPTError as wrong:
                error = wrong
        for refused in filter(None, gathered(error)):
            raise refused
    return done[0]


def share(folder: Path, names: list[str]) -> bool:
    """See that `names` below `folder`, files or folders of the first process, lie on every machine; all processes call it.

    Machines that see the first one's disk have them. On others the first process of the machine writes what it is sent.

    Returns:
        Whether every machine sees the same disk.

    Raises:
        RunError: a machine cannot write them.
    """
    if side_group() is None:
        return True
    sees = _sees_mark(folder)
    if all(gathered(sees)):
        return True
    files = first_does(lambda: sorted(_files(folder, names)))
    missing = not sees and os.environ.get("LOCAL_RANK", "0") == "0"
    for name in files:
        _send(folder, name, missing)
    return False


def one_disk(folder: Path) -> bool:
    """Whether every process sees the first one's `folder`; all processes call it."""
    return side_group() is None or all(gathered(_sees_mark(folder)))


def _sees_mark(folder: Path) -> bool:
    """Whether this process finds what the first one has just put there."""
    mark = first_does(lambda: _mark(folder))
    seen = (folder / mark).is_file()
    wait()
    if dist.get_rank() == 0:
        (folder / mark).unlink()
    return seen


def _mark(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    name = f".seen-{uuid4().hex}"
    (folder / name).touch()
    return name


def _files(folder: Path, names: list[str]) -> list[str]:
    whole = [folder / name for name in names]
    found = [p for one in whole for p in (one.rglob("*") if one.is_dir() else [one]) if p.is_file()]
    return [p.relative_to(folder).as_posix() for p in found]


@private_files()
def _send(folder: Path, name: str, receives: bool) -> None:
    """One file from the first process, a piece at a time, so that no size of it fills the memory."""
    place = folder / name
    problem = ""
    size = first_does(lambda: place.stat().st_size)
    if receives:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"")
        except OSError as error:
            problem = f"{place}: {error.strerror}"
    for begin in range(0, size, _PIECE):
        piece = first_does(partial(_read, place, begin))
        if receives and not problem:
            try:
                with place.open("ab") as file:
                    file.write(piece)
            except OSError as error:
                problem = f"{place}: {error.strerror}"
    if problems := [one for one in gathered(problem) if one]:
        raise RunError(f"a checkpoint cannot be brought to another machine: {problems[0]}")


def _read(place: Path, begin: int) -> bytes:
    with place.open("rb") as file:
        file.seek(begin)
        return file.read(_PIECE)
