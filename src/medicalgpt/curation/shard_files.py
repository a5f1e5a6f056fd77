"""What a shard leaves: its rows, by what they are known, and what became of the others. One folder, there as a whole or not at all."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from medicalgpt.curation.overlap import Hit
from medicalgpt.curation.rows import KINDS, JsonRow
from medicalgpt.data.ledger import Ledger

ROWS: Final = "rows.jsonl"
_TOLD: Final = "told.json"
_MOST_OPEN: Final = 64
_KEYS: Final = 1 << 64
_DIALOGUE: Final = KINDS.index("dialogue")


@dataclass
class Told:
    """Counts of a shard: rows by outcome, rules of quality and personal data by source, rows that could not be read; `present` are
    those of the mapped columns that a row of their source has."""

    ledger: Ledger
    quality: Counter[tuple[str, str]] = field(default_factory=Counter)
    personal: Counter[tuple[str, str]] = field(default_factory=Counter)
    personal_rows: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    present: set[tuple[str, str]] = field(default_factory=set)

    def drop(self, file: str, reason: str, rows: int = 1) -> None:
        """Settle rows that go."""
        self.ledger.settle(file, "dropped", reason, rows)

    def add(self, other: "Told") -> None:
        """Count those of another shard, too."""
        for name in ("seen", "settled", "reasons", "unread", "warnings"):
            getattr(self.ledger, name).update(getattr(other.ledger, name))
        self.ledger.not_learned += other.ledger.not_learned
        self.quality.update(other.quality)
        self.personal.update(other.personal)
        self.personal_rows.update(other.personal_rows)
        self.bad += other.bad
        self.present |= other.present

    def as_json(self) -> dict[str, object]:
        """For `of`."""
        ledger = self.ledger
        return {
            "seen": list(ledger.seen.items()),
            "settled": [[*key, n] for key, n in ledger.settled.items()],
            "reasons": [[*key, n] for key, n in ledger.reasons.items()],
            "unread": [[*key, n] for key, n in ledger.unread.items()],
            "warnings": list(ledger.warnings.items()),
            "not_learned": ledger.not_learned,
            "quality": [[*key, n] for key, n in self.quality.items()],
            "personal": [[*key, n] for key, n in self.personal.items()],
            "personal_rows": list(self.personal_rows.items()),
            "bad": self.bad,
            "present": sorted(self.present),
        }

    @classmethod
    def read(cls, folder: Path) -> "Told":
        """Those of a finished shard."""
        found = json.loads((folder / _TOLD).read_text(encoding="utf-8"))
        ledger = Ledger(
            seen=Counter(dict(found["seen"])),
            settled=Counter({(file, outcome): n for file, outcome, n in found["settled"]}),
            reasons=Counter({(outcome, reason): n for outcome, reason, n in found["reasons"]}),
            unread=Counter({(file, name): n for file, name, n in found["unread"]}),
            warnings=Counter(dict(found["warnings"])),
            not_learned=found["not_learned"],
        )
        return cls(
            ledger,
            Counter({(source, rule): n for source, rule, n in found["quality"]}),
            Counter({(source, kind): n for source, kind, n in found["personal"]}),
            Counter(dict(found["personal_rows"])),
            found["bad"],
            {(source, column) for source, column in found["present"]},
        )


@dataclass
class Written:
    """Rows of a shard that go on, and by what they are known."""

    lines: list[bytes] = field(default_factory=list)
    places: list[tuple[int, int, int]] = field(default_factory=list)
    exact: list[tuple[int, int]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    hits: list[tuple[int, Hit]] = field(default_factory=list)

    def add(
        self,
        row: JsonRow,
        place: tuple[int, int, int],
        exact: tuple[int, int],
        asked: int,
        size: int,
        text: str,
        hits: Sequence[Hit],
    ) -> None:
        """A row: file, number and kind; the digests of its text and of what it asks; its size and comparable text."""
        self.hits += [(len(self.lines), hit) for hit in hits]
        self.lines.append(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
        self.places.append(place)
        self.exact.append(exact)
        self.asked.append(asked)
        self.sizes.append(size)
        self.texts.append(text)


def write_shard(folder: Path, written: Written, bands: np.ndarray, told: Told) -> None:
    """Keep a shard in a folder that is there already."""
    (folder / ROWS).write_bytes(b"".join(written.lines))
    ends = np.cumsum([0, *map(len, written.lines)], dtype=np.int64)
    place = np.asarray(written.places, np.int64).reshape(-1, 3)
    asked, rows = np.asarray(written.asked, np.uint64), np.arange(len(place), dtype=np.uint32)
    asking = place[:, 2] == _DIALOGUE
    with np.errstate(over="ignore"):  # rows of two kinds are never nearly the same
        bands = bands + place[:, 2:].astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
    arrays = {
        "place": place,
        "offset": ends,
        "asked": asked,
        "size": np.asarray(written.sizes, np.int64),
        "length": np.asarray([len(text) for text in written.texts], np.int64),
        **_in_order("exact", np.asarray(written.exact, np.uint64).reshape(-1, 2), rows),
        **_in_order("question", asked[asking].reshape(-1, 1), rows[asking]),
        **_in_order("band", bands.reshape(-1, 1), np.repeat(rows, bands.shape[1])),
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    hits = [[row, hit.test, hit.id, hit.verbatim] for row, hit in written.hits]
    text = json.dumps({**told.as_json(), "hits": hits}, ensure_ascii=False)
    (folder / _TOLD).write_text(text, encoding="utf-8")


def _in_order(name: str, keys: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Keys in the order of their first part, with the row of each: then a partition's are one slice of every shard."""
    order = np.argsort(keys[:, 0], kind="stable")
    return {f"{name}_key": keys[order], f"{name}_row": rows[order]}


def read_hits(folder: Path) -> Iterator[tuple[int, Hit]]:
    """Rows of a finished shard with the items that stand in them."""
    for row, test, name, verbatim in json.loads((folder / _TOLD).read_text(encoding="utf-8"))["hits"]:
        yield int(row), Hit(test, name, verbatim)


class Shards:
    """Finished shards as one list of rows: a row's number is its place among the rows of all of them."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = list(folders)
        counts = [len(self._array(number, "size")) for number in range(len(folders))]
        self.starts = np.cumsum([0, *counts], dtype=np.int64)
        self._open: dict[int, tuple[BinaryIO, np.ndarray]] = {}

    def __len__(self) -> int:
        return int(self.starts[-1])

    def _array(self, shard: int, name: str) -> np.ndarray:
        found: np.ndarray = np.load(self.folders[shard] / f"{name}.npy", mmap_mode="r")
        return found

    def all(self, name: str) -> np.ndarray:
        """An array of all rows: `place`, `asked`, `size`, `length`."""
        return np.concatenate([np.asarray(self._array(n, name)) for n in range(len(self.folders))])

    def partition(self, name: str, part: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
        """The keys of a name (`exact`, `question`, `band`) that fall into one of `parts` equal ranges, and their rows.

        No other key is read: all partitions together read every key once.
        """
        first, last = (np.uint64(edge) for edge in (part * _KEYS // parts, (part + 1) * _KEYS // parts - 1))
        keys, rows = [], []
        for number in range(len(self.folders)):
            ordered = self._array(number, f"{name}_key")
            begin = int(np.searchsorted(ordered[:, 0], first, "left"))
            end = int(np.searchsorted(ordered[:, 0], last, "right"))
            keys.append(np.array(ordered[begin:end]))
            rows.append(self._array(number, f"{name}_row")[begin:end] + self.starts[number])
        return np.concatenate(keys), np.concatenate(rows)

    def line(self, row: int) -> bytes:
        """A row as it is written."""
        shard = int(np.searchsorted(self.starts, row, side="right")) - 1
        if shard not in self._open:
            if len(self._open) == _MOST_OPEN:
                self.close()
            self._open[shard] = (self.folders[shard] / ROWS).open("rb"), self._array(shard, "offset")
        file, offset = self._open[shard]
        at = row - int(self.starts[shard])
        file.seek(int(offset[at]))
        return file.read(int(offset[at + 1] - offset[at]))

    def close(self) -> None:
        """Close the files that `line` has opened."""
        for file, _ in self._open.values():
            file.close()
        self._open.clear()

    def hits(self) -> Iterator[tuple[int, Hit]]:
        """Rows with the items of tests that stand in them."""
        for number, folder in enumerate(self.folders):
            for row, hit in read_hits(folder):
                yield int(self.starts[number]) + row, hit
