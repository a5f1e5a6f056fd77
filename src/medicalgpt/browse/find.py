"""What lies below a folder: its runs, and the pipelines, corpora and evaluations among them."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from medicalgpt.browse.info import RunInfo
from medicalgpt.browse.others import evaluation_info, is_evaluation, leakage_info, pipeline_info
from medicalgpt.browse.runs import is_run, run_info
from medicalgpt.errors import RunError
from medicalgpt.evaluation.names import LEAKAGE
from medicalgpt.pipeline.plan import PLAN

_DEEPEST: Final = 8
_MOST: Final = 200_000  # folders that are looked into
_EVALUATION: Final = "evaluation"  # of a run's own folders the one with more in it


@dataclass
class Found:
    """What was found, in order of names, and what was not looked into: links, and folders that may not be read."""

    runs: list[RunInfo] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)

    @property
    def left_out(self) -> Iterator[str]:
        """In words, what was not looked into."""
        if self.links:
            yield f"not followed: {len(self.links)} {'link' if len(self.links) == 1 else 'links'}, such as {self.links[0]}"
        if self.unread:
            yield f"not readable: {len(self.unread)} of the folders, such as {self.unread[0]}"


def find(root: Path) -> Found:
    """All runs, corpora, pipelines, evaluations and looks for leaks in a folder and below it.

    Raises:
        RunError: there is no such folder, or it holds too many folders to be one of runs.
    """
    if not root.is_dir():
        raise RunError(f"{root} is no folder; give the one that holds your runs")
    walk = _Walk(root)
    walk.visit(root, 0)
    return walk.found


def info_of(folder: Path) -> RunInfo | None:
    """What lies in this very folder; None where that is nothing that is listed.

    Raises:
        RunError: it cannot be read.
    """
    walk = _Walk(folder)
    entries = walk.entries(folder)
    if walk.found.unread:
        raise RunError(f"{folder} is no folder that can be read; give the folder of a run, a pipeline or an evaluation")
    names = {entry.name for entry in entries}
    one = walk.one(folder, names)
    if one is None and PLAN in names:
        walk.visit(folder, 0)
        return next(one for one in walk.found.runs if one.path == folder)
    return one


class _Walk:
    def __init__(self, root: Path) -> None:
        self.root, self.found, self.seen = root, Found(), 0

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        self.seen += 1
        if self.seen > _MOST:
            raise RunError(f"{self.root} holds more than {_MOST:,} folders; give a folder nearer to the runs")
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError:
            self.found.unread.append(folder)
            return []

    def visit(self, folder: Path, depth: int) -> Sequence[RunInfo]:
        """Note what is in a folder and below it; returns what lies directly in it."""
        entries = self.entries(folder)
        names = {entry.name for entry in entries}
        at = len(self.found.runs)
        own = self.one(folder, names)
        inside = [_EVALUATION] if is_run(names) else None
        below: list[RunInfo] = []
        for entry in entries if depth < _DEEPEST else ():
            if entry.name.startswith(".") or (inside is not None and entry.name not in inside):
                continue
            if entry.is_symlink():
                if entry.is_dir():
                    self.found.links.append(Path(entry.path))
            elif entry.is_dir(follow_symlinks=False):
                below += self.visit(Path(entry.path), depth + 1)
        if PLAN in names and own is None:
            stages = [one for one in below if one.kind in ("run", "corpus") and one.path.parent == folder]
            own = pipeline_info(folder, self.name(folder), stages)
        if own is not None:
            self.found.runs.insert(at, own)
        return [own] if own is not None else []

    def one(self, folder: Path, names: set[str]) -> RunInfo | None:
        """What a folder is, pipelines left out, which need their stages."""
        tell: Callable[[Path, str], RunInfo]
        if is_run(names):
            tell = run_info
        elif is_evaluation(names):
            tell = evaluation_info
        elif LEAKAGE in names:
            tell = leakage_info
        else:
            return None
        return tell(folder, self.name(folder))

    def name(self, folder: Path) -> str:
        """The folder as seen from the root; the root by its own name."""
        return folder.relative_to(self.root).as_posix() if folder != self.root else folder.resolve().name
