"""The corpora that models go back to: what was taken out of raw files, and whether these and the corpus are still what they were."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from medicalgpt.config.curation import CurateConfig
from medicalgpt.config.data_source import path_of
from medicalgpt.config.loader import load
from medicalgpt.curation.corpus import REPORT
from medicalgpt.curation.corpus import Corpus as Curated
from medicalgpt.curation.plan import Inputs
from medicalgpt.errors import MedicalGPTError, RunError
from medicalgpt.hub.address import parse
from medicalgpt.runs import manifest
from medicalgpt.runs.corpus import corpora_of, corpus_of
from medicalgpt.runs.folder import RunFolder
from medicalgpt.runs.hashes import hash_file, hash_json
from medicalgpt.runs.manifest import Manifest
from medicalgpt.runs.trust_corpus import Corpus, SearchedTest
from medicalgpt.runs.trust_parts import Link, State
from medicalgpt.trust.data import files_of, stage_config
from medicalgpt.trust.places import files_state
from medicalgpt.trust.subject import Subject


def folders_of(subject: Subject) -> dict[Path, list[str]]:
    """The folders of the curations behind a run or pipeline, with the stages that name them among their parents.

    Raises:
        RunError: a manifest is damaged.
    """
    found: dict[Path, list[str]] = {}
    for stage, record in subject.finished:
        own = {(stage.folder / Path(parent.path).expanduser()).resolve() for parent in record.parents}
        for folder in corpora_of(stage.folder):
            stages = found.setdefault(folder.resolve(), [])
            if folder.resolve() in own:
                stages.append(stage.name)
    return found


def corpora(folders: Mapping[Path, Sequence[str]]) -> list[Corpus]:
    """What each of them took out and left in. Raises RunError: a report is damaged."""
    return [_corpus(folder, stages) for folder, stages in folders.items()]


def _corpus(folder: Path, stages: Sequence[str]) -> Corpus:
    record, report = manifest.read(folder), Curated(folder).report
    try:
        return Corpus(
            name=folder.name,
            stages=list(stages),
            manifest_sha256=hash_file(folder / manifest.NAME),
            rows=_number(report["rows"]),
            kept=_number(report["kept"]),
            dropped=_number(report["dropped"]),
            held_out=_number(_part(report["held_out"])["rows"]),
            written=_number(_part(report["mix"])["rows_written"]),
            reasons={reason: _number(n) for reason, n in _part(report["reasons"]).items()},
            tests=[SearchedTest.model_validate(_searched(name, one)) for name, one in _part(report["tests"]).items()],
            shares={
                name: float(str(_part(one)["share"])) for name, one in _part(_part(report["mix"])["sources"]).items()
            },
            files=files_of(record.ledger),
            **_personal(_part(report["personal_data"])),
        )
    except (KeyError, TypeError, ValueError, ValidationError):
        raise RunError(f"{folder / REPORT} is damaged; make the corpus again") from None


def _personal(told: Mapping[str, object]) -> "dict[str, bool | str | int | list[str] | dict[str, int] | None]":
    found: dict[str, int] = {}
    for counts in _part(told.get("found", {})).values():
        for kind, count in _part(counts).items():
            found[kind] = found.get(kind, 0) + _number(count)
    detectors = told.get("detectors", [])
    return {
        "personal_data": bool(told["looked_for"]),
        "detectors": [str(name) for name in detectors] if isinstance(detectors, list) else [],
        "operator": None if told.get("operator") is None else str(told["operator"]),
        "personal_rows": _number(told.get("rows", 0)),
        "personal_found": dict(sorted(found.items(), key=lambda one: (-one[1], one[0]))),
    }


def _searched(name: str, told: object) -> dict[str, object]:
    return {"name": name, **{part: _part(told)[part] for part in ("items", "found", "verbatim", "rows", "in_corpus")}}


def _part(found: object) -> dict[str, object]:
    if not isinstance(found, dict):
        raise TypeError
    return found


def _number(found: object) -> int:
    if not isinstance(found, int):
        raise TypeError
    return found


def links_of(folders: Mapping[Path, Sequence[str]], noted: Mapping[Path, str]) -> Iterator[Link]:
    """From raw files to each corpus, looked at again.

    Args:
        noted: run folder → the hash of its manifest, as a run that came after it noted it.
    """
    for folder in folders:
        record, name = manifest.read(folder), folder.name
        yield Link(what="raw", stage=name, name="", sha256=record.hashes.data, state=_raw_state(folder, record))
        told = record.ledger.get("report_sha256")
        state: State = "same" if hash_json(Curated(folder).report) == told else "changed"
        yield Link(what="curation", stage=name, name=REPORT, sha256=str(told), state=state)
        files = f"{len(record.files)} × .jsonl"
        yield Link(what="corpus", stage=name, name=files, sha256=None, state=files_state(folder, record.files))
        sha256, wanted = hash_file(folder / manifest.NAME), noted.get(folder)
        state = "unchecked" if wanted is None else "same" if wanted == sha256 else "changed"
        yield Link(what="manifest", stage=name, name=manifest.NAME, sha256=sha256, state=state)


def _raw_state(folder: Path, record: Manifest) -> State:
    """Whether the raw files that lie there now are those; data of hubs is not fetched to be looked at."""
    try:
        sources = load(CurateConfig, str(RunFolder(folder).config)).value.sources
    except (MedicalGPTError, OSError):
        return "unchecked"
    if any(parse(path_of(entry)) is not None for source in sources.values() for entry in source.paths):
        return "unchecked"
    try:
        hashes = Inputs.of(sources).hashes
    except (MedicalGPTError, OSError):
        return "gone"
    return "same" if hash_json(hashes) == record.hashes.data else "changed"


def uncurated(subject: Subject) -> bool:
    """Whether a finished stage was trained on anything that no curation wrote, or on what cannot be told."""
    return any(not _from_corpora(stage_config(stage)) for stage, _ in subject.finished)


def _from_corpora(config: object) -> bool:
    data = getattr(config, "data", None)
    paths = [path_of(entry) for entry in (*data.train, *data.replay)] if data is not None else []
    try:
        return bool(paths) and all(parse(path) is None and corpus_of(Path(path)) is not None for path in paths)
    except RunError:
        return False
