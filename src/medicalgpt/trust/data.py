"""What went in: files with their hashes as they lie now, the row ledger's totals, and the terms of everything."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from medicalgpt.config.base import StageConfig
from medicalgpt.config.data_source import DataSource, path_of
from medicalgpt.config.loader import load
from medicalgpt.config.stages import STAGES
from medicalgpt.data.fingerprint import Content
from medicalgpt.data.formats.fields import named
from medicalgpt.data.rows import Reading
from medicalgpt.data.storage import stored
from medicalgpt.errors import MedicalGPTError
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.hub.address import parse
from medicalgpt.models.embedded.registry import EMBEDDED, ORIGIN_FILE
from medicalgpt.runs.folder import RunFolder
from medicalgpt.runs.hashes import hash_file
from medicalgpt.runs.manifest import Manifest
from medicalgpt.runs.trust_parts import Data, DataFile, License, State, Test
from medicalgpt.trust.places import base_folder, short_name
from medicalgpt.trust.subject import Stage, Subject

_OUTCOMES: Final = ("rows", "kept", "truncated", "split", "dropped")
_MOST_FILES: Final = 50  # of a stage, by name
_HEAD: Final = 64 << 10  # bytes of a card that are looked at


def data_of(stage: Stage, record: Manifest) -> Data:
    """A stage's files, rows and hashes, and whether the files that lie there now are those it was trained on."""
    config = stage_config(stage)
    ledgers = _ledgers(record.ledger)
    totals = {outcome: sum(int(one.get(outcome, 0)) for one in ledgers) for outcome in _OUTCOMES}
    reasons: dict[str, int] = {}
    for one in ledgers:
        for reason, rows in {**one.get("reasons", {}), **one.get("warnings", {})}.items():
            reasons[reason] = reasons.get(reason, 0) + rows
    rows = record.after.get("eval/rows")
    return Data(
        stage=stage.name,
        files=files_of(record.ledger),
        **totals,
        held_out=None if rows is None else int(rows),
        reasons=reasons,
        tokens=record.tokens,
        data_sha256=record.hashes.data,
        eval_sha256=record.hashes.eval,
        state="unchecked" if config is None else content_state(config, config.data.train, record.hashes.data),
    )


def stage_config(stage: Stage) -> StageConfig | None:
    """A run's config, by today's schema; None where it cannot be read so, or the stage is a user's own."""
    if stage.kind not in STAGES:
        return None
    with suppress(MedicalGPTError, OSError):
        return load(STAGES[stage.kind], str(RunFolder(stage.folder).config)).value
    return None


def content_state(config: StageConfig, given: Sequence[str | DataSource], wanted: str) -> State:
    """Whether the files behind paths have the hash that a manifest has; data of hubs is not fetched to be looked at."""
    if not given or any(parse(path_of(entry)) is not None for entry in given):
        return "unchecked"
    try:
        found = Content.of(given, Reading.of(config.data), named(config.data.columns))
    except (MedicalGPTError, OSError):
        return "gone"
    return "same" if found.hash == wanted else "changed"


def files_of(ledger: JsonObject) -> list[DataFile]:
    """The files that a manifest's ledger names, with the hashes that they have now."""
    sha256 = cache(hash_file)  # members of an archive have its hash, which is found once
    return [file for one in _ledgers(ledger) for file in _files(one, sha256)]


def _ledgers(ledger: JsonObject) -> list[JsonObject]:
    """A manifest holds one, or one for each data set."""
    return [ledger] if "rows" in ledger else [one for one in ledger.values() if isinstance(one, dict) and "rows" in one]


def _files(ledger: JsonObject, sha256: Callable[[Path], str]) -> Iterator[DataFile]:
    for number, (name, counts) in enumerate(ledger.get("files", {}).items()):
        if number == _MOST_FILES:
            rest = list(ledger["files"].values())[_MOST_FILES:]
            totals = {outcome: sum(int(one.get(outcome, 0)) for one in rest) for outcome in _OUTCOMES}
            yield DataFile(name=f"… {len(rest)}", **totals, sha256=None, license=None)
            return
        path = stored(Path(name).expanduser())  # of what lies in an archive, the archive's
        there = path.is_file()
        yield DataFile(
            name=name,
            **{outcome: int(counts.get(outcome, 0)) for outcome in _OUTCOMES},
            sha256=sha256(path) if there else None,
            license=_license_beside(path) if there else None,
        )


def licenses_of(subject: Subject, data: Sequence[Data], tests: Sequence[Test]) -> list[License]:
    """Terms of the base, of every file of data, and of every test; null where nothing states them."""
    found = (
        [License(what=short_name(subject.base), kind="base", license=_base_license(subject))] if subject.base else []
    )
    files = {file.name: file.license for one in data for file in one.files}
    found += [License(what=name, kind="data", license=terms) for name, terms in files.items()]
    return found + [License(what=test.name, kind="test", license=test.license) for test in tests]


def _base_license(subject: Subject) -> str | None:
    if subject.base in EMBEDDED:
        return EMBEDDED[subject.base].license
    first = next(iter(subject.finished), None)
    folder = base_folder(subject.base, *((first[0].folder, first[1]) if first else ()))
    if folder is None:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))["licence"])
    return _stated(folder / "README.md")


def _license_beside(path: Path) -> str | None:
    """What the card in the folder of a file, or in the one above it, states."""
    return _stated(path.parent / "README.md") or _stated(path.parent.parent / "README.md")


def _stated(card: Path) -> str | None:
    """`license` in the head of a card, as hubs have it."""
    with suppress(OSError, ValueError, yaml.YAMLError, RecursionError):
        with card.open("rb") as file:
            text = file.read(_HEAD).decode("utf-8-sig", "replace")
        if text.startswith("---\n"):
            head = yaml.safe_load(text[4:].split("\n---", 1)[0])
            if isinstance(head, Mapping):
                stated = head.get("license_name") or head.get("license")
                return str(stated) if stated else None
    return None
