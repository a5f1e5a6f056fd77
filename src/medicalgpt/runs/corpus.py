"""A curated corpus as those see it who train on it or test what was trained: its run, its files, and the test items still in it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from medicalgpt.config.curation import CURATE
from medicalgpt.errors import RunError
from medicalgpt.models.locate import Located
from medicalgpt.runs import manifest
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.bases import resolve_base, run_of
from medicalgpt.runs.hashes import hash_file

TRAIN: Final = "train"
HELD_OUT: Final = "held_out"
ITEMS: Final = "items.json"
_DEPTH: Final = 16  # runs in a chain, so that folders that name each other end


def corpus_of(path: Path) -> Path | None:
    """The finished curation in whose corpus a file or folder lies; None of any other.

    Raises:
        RunError: its manifest is damaged, or a file of the corpus is no longer what it was: what the manifest says of how rows
            were cleared would be said of other rows.
    """
    place = path.absolute()
    for run in (place, *place.parents):
        if (run / manifest.NAME).is_file() and any((run / side).is_dir() for side in (TRAIN, HELD_OUT)):
            record = manifest.read(run)
            if record.stage == CURATE:
                _check(run, place, record)
                return run
    return None


def _check(run: Path, place: Path, record: manifest.Manifest) -> None:
    files = [place] if place.is_file() else [file for file in sorted(place.rglob("*")) if file.is_file()]
    for file in files:
        name = file.relative_to(run).as_posix()
        if not name.startswith((f"{TRAIN}/", f"{HELD_OUT}/")):
            continue
        if record.files.get(name) != hash_file(file):
            raise RunError(
                f"{file} is not the file that the curation in {run} made; make the corpus again (remove the folder and give the "
                "same command), or copy the rows elsewhere, where nothing is said of them"
            )


def write_items(run: Path, hashes: Mapping[str, Mapping[str, str]], there: Mapping[str, Sequence[str]]) -> None:
    """Keep which items of which tests stand in the corpus. `hashes`: of every test that was looked for, its files' SHA-256."""
    tests = {name: {"files": dict(files), "items": list(there.get(name, ()))} for name, files in hashes.items()}
    write_text(run / ITEMS, json.dumps({"schema_version": 1, "tests": tests}, indent=1, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class Seen:
    """Of one test, the `items` that stand in what a model was trained on. `looked`: every corpus was searched for this test."""

    items: frozenset[str]
    looked: bool


def seen_items(corpora: Sequence[Path], test: str, files: Mapping[str, str]) -> Seen:
    """Which items of a test, whose files have these hashes, stand in corpora.

    Raises:
        RunError: a corpus' list of items is damaged.
    """
    found: set[str] = set()
    looked = bool(corpora)
    for run in corpora:
        told = _read(run / ITEMS).get(test)
        if told is None or sorted(told[0].values()) != sorted(files.values()):
            looked = False
        else:
            found |= told[1]
    return Seen(frozenset(found), looked)


def _read(path: Path) -> dict[str, tuple[dict[str, str], set[str]]]:
    try:
        tests = json.loads(path.read_text(encoding="utf-8"))["tests"]
        return {name: (dict(one["files"]), set(one["items"])) for name, one in tests.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RunError(f"{path} is damaged or missing; make the corpus again") from None


def corpora_of(run: Path) -> list[Path]:
    """The curations that a run goes back to over its parents and their bases, the nearest first.

    Raises:
        RunError: a manifest is damaged, or the chain does not end.
    """
    found: dict[Path, None] = {}
    waiting, seen = [run.resolve()], set[Path]()
    while waiting:
        if len(seen) > _DEPTH:
            raise RunError(f"{run} has more than {_DEPTH} runs before it; give one whose chain ends")
        here = waiting.pop(0)
        if here in seen or not (here / manifest.NAME).is_file():
            continue
        seen.add(here)
        record = manifest.read(here)
        if record.stage == CURATE:
            found[here] = None
        waiting += list(_before(here, record))
    return list(found)


def _before(run: Path, record: manifest.Manifest) -> Iterator[Path]:
    for parent in record.parents:
        yield (run / Path(parent.path).expanduser()).resolve()
    base = resolve_base(run, record) if record.stage != CURATE else None
    earlier = run_of(Located(str(base), "model")) if base is not None else None
    if earlier is not None:
        yield earlier.resolve()
