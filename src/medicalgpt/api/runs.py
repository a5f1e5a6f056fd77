"""Folders of runs: listed, side by side, deleted, packed."""

import os
from collections.abc import Collection
from pathlib import Path

from medicalgpt.browse.compare import Comparison, compare
from medicalgpt.browse.delete import Deleted, delete
from medicalgpt.browse.find import find
from medicalgpt.browse.info import Kind, RunInfo, State
from medicalgpt.browse.pack import Packed, Part, pack
from medicalgpt.browse.select import chosen, ordered

PathLike = str | os.PathLike[str]


def list_runs(
    folder: PathLike = "runs",
    *,
    text: str = "",
    kinds: Collection[Kind] = (),
    stages: Collection[str] = (),
    states: Collection[State] = (),
    sort: str = "name",
    descending: bool = False,
) -> list[RunInfo]:
    """Runs, corpora, pipelines and evaluations in a folder and below it; links are not followed.

    Args:
        text: only those with it in name, base, data or note.
        kinds, stages, states: only these; empty: all.
        sort: name, stage, state, changed, size, seconds, tokens, rows, or a held-out number such as eval/loss.

    Raises:
        RunError: there is no such folder, or nothing can be sorted by that.
    """
    found = chosen(find(Path(folder)).runs, text=text, kinds=kinds, stages=stages, states=states)
    return ordered(found, sort, descending)


def compare_runs(*folders: PathLike) -> Comparison:
    """Runs side by side: `.differences`, `.numbers`, `.tests`, `.curves`, `.samples`; `.write("compare.html")` makes a page of it.

    Raises:
        RunError: fewer than two runs, a folder that is none, or a damaged log.
    """
    return compare([Path(folder) for folder in folders])


def delete_run(folder: PathLike, *, force: bool = False, among: PathLike | None = None) -> Deleted:
    """Delete a run, corpus, pipeline or evaluation; what none of them makes stays (`.kept`), and nothing behind a link is touched.

    Args:
        force: also one that is running, or that others go on from.
        among: where those are looked for that go on from it; None: the folder that holds it.

    Raises:
        RunError: it is a link, no run, running, or others go on from it.
    """
    return delete(Path(folder), force, None if among is None else Path(among))


def export_run(folder: PathLike, output: PathLike, *, parts: Collection[Part] = ()) -> Packed:
    """Pack a run into a new .zip or .tar.zst: configuration, numbers, figures, manifest; `.left_out` says what is not in it.

    Args:
        parts: "weights" adds the model, "text" samples, reports and corpora, which hold private text.

    Raises:
        RunError: it is no run, or running; the file is there already or of another type.
    """
    return pack(Path(folder), Path(output), parts)
