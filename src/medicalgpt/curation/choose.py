"""From what the steps found to the rows of the corpus: who goes, for which reason, who is held out, who comes how often."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from medicalgpt.curation.duplicates import surplus
from medicalgpt.curation.mix import Taken, mixed
from medicalgpt.curation.overlap import Hit
from medicalgpt.curation.rows import KINDS
from medicalgpt.curation.shard_files import Told
from medicalgpt.curation.steps import PAIRS, PAIRS_FILE, Work
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.split import split_of

SAME_TEXT: Final = "duplicate: its text stood before"
SAME_QUESTION: Final = "duplicate: its question stood before, with another answer"
NEARLY: Final = "duplicate: nearly the text of a row that is not shorter"
TESTED: Final = "test: it holds an item of {}"
LEFT_OUT: Final = "mix: more of its source than its share"
HELD_OUT: Final = "held out"


@dataclass
class Chosen:
    """The rows of a corpus: `train` with repetitions, `held_out`; and what there is to say of the way there.

    `goes`: the reason of every row that does, by its number. `hits`: rows with items of tests in them. `duplicates`: by source, rows
    that went for each reason. `asked_again`: dialogues that stay and ask what an earlier one asks.
    """

    train: np.ndarray
    held_out: np.ndarray
    goes: dict[int, str]
    hits: dict[int, list[Hit]]
    taken: dict[str, Taken]
    asked_again: int = 0
    pairs: int = 0
    duplicates: Counter[tuple[str, str]] = field(default_factory=Counter)


def choose(work: Work, source_of: np.ndarray) -> Chosen:
    """The rows of the corpus, when all steps before are done. `source_of`: the number of each row's source.

    Raises:
        DataError: as `mix.weights`.
    """
    config, shards = work.plan.config, work.shards
    goes: dict[int, str] = {}
    if config.duplicates.exact:
        goes |= dict.fromkeys(work.gone("exact")[:, 0].tolist(), SAME_TEXT)
    again = work.gone("asked")[:, 0].tolist()
    if config.duplicates.questions == "drop":
        goes |= dict.fromkeys(again, SAME_QUESTION)
    near = _near(work) if config.duplicates.near else np.empty((0, 2), np.int64)
    goes |= dict.fromkeys(surplus(near, shards.all("length")), NEARLY)
    names = list(config.sources)
    duplicates = Counter((names[source_of[row]], reason) for row, reason in goes.items())
    hits: dict[int, list[Hit]] = {}
    for row, hit in shards.hits():
        hits.setdefault(row, []).append(hit)
    if config.contamination.action == "drop":
        goes |= {row: TESTED.format(found[0].test) for row, found in hits.items() if row not in goes}
    stays = np.ones(len(shards), bool)
    stays[list(goes)] = False
    held = _held_out(work, stays)
    rows = np.flatnonzero(stays & ~held)
    places, taken = mixed(shards.all("size")[rows], source_of[rows], config.sources, config.mix)
    train = rows[places]
    left_out = np.setdiff1d(rows, train)
    goes |= dict.fromkeys(left_out.tolist(), LEFT_OUT)
    kept = sum(row not in goes for row in again)
    return Chosen(train, np.flatnonzero(held), goes, hits, taken, kept, len(near), duplicates)


def _near(work: Work) -> np.ndarray:
    parts = [np.load(work.place("compare", n) / "pairs.npy") for n in range(compare_tasks(work))]
    return np.concatenate([np.empty((0, 2), np.int64), *parts])


def compare_tasks(work: Work) -> int:
    """How many tasks compare pairs."""
    pairs: np.ndarray = np.load(work.folder / PAIRS_FILE, mmap_mode="r")
    return -(-len(pairs) // PAIRS)


def _held_out(work: Work, stays: np.ndarray) -> np.ndarray:
    """Rows that are set apart: those of the same question are on the same side."""
    config, rows = work.plan.config.held_out, np.flatnonzero(stays)
    held = np.zeros(len(stays), bool)
    if not config.fraction or not len(rows):
        return held
    keys = work.shards.all("asked")[rows]
    split = split_of(keys, work.shards.all("length")[rows], config.fraction, config.seed, documents=False)
    chosen = np.asarray(sorted(int(key, 16) for key in split.whole), np.uint64)
    held[rows[np.isin(keys, chosen)]] = True
    return held


def settle(chosen: Chosen, work: Work, told: Told) -> Ledger:
    """Every row that went on settled in the ledger, which then adds up. Raises DataError where it does not."""
    place, files = work.shards.all("place"), work.plan.files
    ends = Counter[tuple[str, str]]()
    held = set(chosen.held_out.tolist())
    for row, file in enumerate(place[:, 0].tolist()):
        ends[files[file].path, chosen.goes.get(row, HELD_OUT if row in held else "")] += 1
    ledger = told.ledger
    for (path, reason), count in sorted(ends.items()):
        ledger.settle(path, "kept" if reason in ("", HELD_OUT) else "dropped", reason, count)
    ledger.check()
    return ledger


def by_kind(rows: np.ndarray, kinds: np.ndarray) -> Mapping[str, np.ndarray]:
    """Rows by their kind, in order."""
    found = {name: rows[kinds[rows] == number] for number, name in enumerate(KINDS)}
    return {name: mine for name, mine in found.items() if len(mine)}
