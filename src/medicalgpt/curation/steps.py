"""The steps of a curation as pure functions of what lies in its work folder: map over shards, reduce over partitions, write parts.

Each task makes one folder, there as a whole or not at all, and no task depends on which process did another one: that is all an
executor needs to know, be it ours or a cluster's.
"""

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from medicalgpt.curation.duplicates import candidates, verified
from medicalgpt.curation.matching import comparable
from medicalgpt.curation.plan import Plan
from medicalgpt.curation.rows import asked_in, texts_in
from medicalgpt.curation.shard import ShardReader
from medicalgpt.curation.shard_files import Shards

PAIRS_FILE: Final = "pairs.npy"
"""All pairs that share a band, in the work folder once the step `near` is done."""
PAIRS: Final = 20_000
"""Pairs that one task compares."""
_PARTITION_ROWS: Final = 250_000
PART_ROWS: Final = 50_000
"""Rows of one file of the corpus."""


class Work:
    """A curation's work folder, as a process sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = Plan.read(folder)

    def place(self, step: str, number: int) -> Path:
        """The folder of a task that is done."""
        return self.folder / step / f"{number:06d}"

    def done(self, step: str, number: int) -> bool:
        """Whether a task is."""
        return self.place(step, number).is_dir()

    @cached_property
    def reader(self) -> ShardReader:
        """What reads shards; made once in a process."""
        return ShardReader(self.plan)

    @cached_property
    def shards(self) -> Shards:
        """All shards, when every one of them is read."""
        return Shards([self.place("map", number) for number in range(len(self.plan.shards))])

    @property
    def partitions(self) -> int:
        """In how many parts duplicates are looked for."""
        return self.plan.config.scale.partitions or -(-len(self.shards) // _PARTITION_ROWS)

    def gone(self, step: str) -> np.ndarray:
        """Rows that a step over partitions has found to go, with the row that each repeats [rows, 2]."""
        parts = [np.load(self.place(step, n) / "gone.npy") for n in range(self.partitions)]
        return np.concatenate(parts)

    def left(self, *steps: str) -> np.ndarray:
        """Which rows are left after steps over partitions [rows]."""
        found = np.ones(len(self.shards), bool)
        for step in steps:
            found[self.gone(step)[:, 0]] = False
        return found


def map_shard(work: Work, number: int, folder: Path) -> None:
    """Read a shard."""
    work.reader.read(number, folder)


def same_text(work: Work, number: int, folder: Path) -> None:
    """Rows of a partition whose whole text stood before."""
    keys, rows = work.shards.partition("exact", number, work.partitions)
    np.save(folder / "gone.npy", _repeats((keys[:, 1], keys[:, 0]), rows))


def same_question(work: Work, number: int, folder: Path) -> None:
    """Dialogues of a partition that ask what an earlier one asks."""
    keys, rows = work.shards.partition("question", number, work.partitions)
    left = work.left("exact")[rows]
    np.save(folder / "gone.npy", _repeats((keys[left, 0],), rows[left]))


def _repeats(keys: tuple[np.ndarray, ...], rows: np.ndarray) -> np.ndarray:
    """Rows with the keys of an earlier one, and the first that has them [repeats, 2]."""
    order = np.lexsort((rows, *keys))
    new = np.ones(len(rows), bool)
    if len(rows):
        new[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    first = rows[order][np.flatnonzero(new)[np.cumsum(new) - 1]] if len(rows) else rows
    return np.stack([rows[order], first], 1)[~new].astype(np.int64)


def near_pairs(work: Work, number: int, folder: Path) -> None:
    """Rows of a partition of bands that share one, and so may be nearly the same."""
    keys, rows = work.shards.partition("band", number, work.partitions)
    left = work.left(*earlier(work.plan))[rows]
    np.save(folder / "pairs.npy", candidates(keys[left, 0], rows[left]))


def all_pairs(work: Work) -> np.ndarray:
    """The pairs of all partitions, each once, in order [pairs, 2]."""
    parts = [np.load(work.place("near", n) / "pairs.npy") for n in range(work.partitions)]
    return np.unique(np.concatenate(parts), axis=0)


def compare_pairs(work: Work, number: int, folder: Path) -> None:
    """Which of some pairs are nearly the same."""
    every: np.ndarray = np.load(work.folder / PAIRS_FILE, mmap_mode="r")
    pairs = every[number * PAIRS : (number + 1) * PAIRS]

    def texts_of(number: int) -> tuple[str, str]:
        row = json.loads(work.shards.line(number))
        asked = [] if "text" in row else asked_in(row)
        return "".join(map(comparable, texts_in(row))), "".join(map(comparable, asked))

    good = verified(pairs, texts_of, work.plan.config.duplicates)
    np.save(folder / "pairs.npy", pairs[good])


def write_part(work: Work, number: int, folder: Path) -> None:
    """One file of the corpus."""
    chosen: np.ndarray = np.load(work.folder / "chosen" / f"{number:06d}.npy")
    with (folder / "part.jsonl").open("wb") as file:
        file.writelines(work.shards.line(row) for row in chosen.tolist())


def earlier(plan: Plan) -> list[str]:
    """The steps whose finds are gone before near-duplicates are looked for."""
    config = plan.config.duplicates
    return (["exact"] if config.exact else []) + (["asked"] if config.questions == "drop" else [])


STEPS: Final[Mapping[str, Callable[[Work, int, Path], None]]] = {
    "map": map_shard,
    "exact": same_text,
    "asked": same_question,
    "near": near_pairs,
    "compare": compare_pairs,
    "write": write_part,
}


def run_task(work: Work, step: str, number: int) -> None:
    """Do a task, unless it is done: its folder appears when everything in it is written."""
    import shutil
    import uuid

    if work.done(step, number):
        return
    target = work.place(step, number)
    # No process id: two machines that do the same task on a shared disk may have the same one.
    temp = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    temp.mkdir(parents=True)
    STEPS[step](work, number, temp)
    try:
        temp.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(temp)  # a process whose parent was killed was faster; it wrote the same
