"""A run's folder as a line of a list: what its files say of it, and whether it is finished, running, interrupted or failed."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final

from medicalgpt.browse.files import changed_at, read_config, read_json, size_of
from medicalgpt.browse.info import Kind, Numbers, RunInfo, State, held_out
from medicalgpt.config.curation import CURATE
from medicalgpt.errors import RunError
from medicalgpt.runs import manifest, metrics
from medicalgpt.runs.failure import read_failure
from medicalgpt.runs.folder import LOCK, MERGED, RunFolder, step_of
from medicalgpt.runs.lock import held
from medicalgpt.runs.manifest import Manifest
from medicalgpt.runs.ownership import CONFIG, RUN_FILE

_BASES: Final = ("model.base", "model.adapter", "reward.model", "objective.reference_model", "objective.teacher")
"""Keys of a configuration that name models."""


def is_run(names: set[str]) -> bool:
    """Whether a folder with these names in it is a run's: every run leaves its configuration, and more than that."""
    return CONFIG in names and bool(names & {RUN_FILE, manifest.NAME, "metrics.jsonl"})


def run_info(folder: Path, name: str) -> RunInfo:
    """What the folder of a run says of it. A damaged file makes a failed run, with what is wrong as its note."""
    if not (folder / manifest.NAME).is_file():
        return _unfinished(folder, name)
    try:
        record = manifest.read(folder)
    except RunError as error:
        return RunInfo(folder, name, "run", "", "failed", str(error), size=size_of(folder))
    kind: Kind = "corpus" if record.stage == CURATE else "run"
    return RunInfo(
        folder,
        name,
        kind,
        record.stage,
        "finished",
        "",
        record.base if kind == "run" else "",
        tuple(parents_of(folder, record)),
        *_data_of(record.ledger),
        measured=held_out(record.before, record.after) if kind == "run" else (),
        tokens=record.tokens if kind == "run" else None,
        size=size_of(folder),
        seconds=record.seconds,
        changed=record.created,
        facts=_facts(record),
    )


def parents_of(folder: Path, record: Manifest) -> Iterator[Path]:
    """The folders of the runs that a finished one goes back to directly: its parents, and the run that its base is of."""
    seen = set()
    named = [folder / Path(parent.path).expanduser() for parent in record.parents]
    for place in (*named, *run_named(folder, record.base)):
        place = Path(os.path.normpath(place))
        # One folder may be named from here and from the root: a run's parent by its way there, its base as it was given.
        if (whole := place.absolute()) not in seen:
            seen.add(whole)
            yield place


def run_named(folder: Path, model: str) -> Iterator[Path]:
    """The run that a model's name means, seen from a run's folder: its own folder, or `model` or `merged` in it."""
    if not model or "://" in model:
        return
    named = Path(model).expanduser()
    # As it was named where training was started: from here, or from a folder above the run.
    for place in (named, *(above / named for above in folder.absolute().parents)):
        run = place.parent if place.name in ("model", MERGED) else place
        if (run / CONFIG).is_file():
            yield run
            return


def models_named(config: Mapping[str, object]) -> Iterator[str]:
    """The models that a configuration names."""
    for key in _BASES:
        if isinstance(value := config.get(key), str):
            yield value


def _unfinished(folder: Path, name: str) -> RunInfo:
    begun, config = read_json(folder / RUN_FILE), read_config(folder / CONFIG)
    state, note = _state_of(folder, begun is not None)
    try:
        before, after, step, tokens = logged(folder / "metrics.jsonl")
    except RunError as error:
        before, after, step, tokens = {}, {}, None, None
        note = f"{note}; {error}" if note else str(error)
    train = config.get("data.train")
    files = train if isinstance(train, list) else []
    stage = begun.get("stage") if begun else None
    base = config.get("model.base")
    return RunInfo(
        folder,
        name,
        "corpus" if stage == CURATE else "run",
        stage if isinstance(stage, str) else "",
        state,
        note,
        base if isinstance(base, str) else "",
        tuple(dict.fromkeys(run for model in models_named(config) for run in run_named(folder, model))),
        tuple(Path(str(one.get("path") if isinstance(one, dict) else one)).name for one in files),
        measured=held_out(before, after),
        tokens=tokens,
        step=step,
        size=size_of(folder),
        changed=changed_at(folder / "metrics.jsonl", folder / RUN_FILE),
    )


def _state_of(folder: Path, readable: bool) -> tuple[State, str]:
    """The state of a run that has no manifest, and what is to be said of it."""
    locked = held(folder / LOCK)
    if locked:
        return "running", ""
    unsure = "whether a process still works on it cannot be told here" if locked is None else ""
    if not readable:
        return "failed", f"{RUN_FILE} is damaged or missing, so nobody can tell which run this is; start it over"
    if (failure := read_failure(folder)) is not None:
        first = failure.message.strip().split("\n")[0]
        return "failed", f"{failure.error}: {first}" if first else failure.error
    step = newest_checkpoint(folder)
    goes_on = (
        "the same command begins again: no checkpoint was saved" if step is None else f"goes on from step {step:,}"
    )
    return "interrupted", "; ".join(filter(None, (goes_on, unsure)))


def newest_checkpoint(folder: Path) -> int | None:
    """The step of the newest checkpoint whose files are all there in their sizes; None where there is none to be seen."""
    with suppress(PermissionError):  # a folder that may not be looked into ends no list
        if (found := RunFolder(folder).latest_checkpoint(contents=False)) is not None:
            return step_of(found)
    return None


def logged(path: Path) -> tuple[Numbers, Numbers, int | None, int | None]:
    """Of a metrics.jsonl the first and last held-out numbers, the last step, and the tokens trained on; None: no log yet.

    Raises:
        RunError: it is damaged.
    """
    before: dict[str, float | None] = {}
    after: dict[str, float | None] = {}
    step, tokens = None, None
    for line in metrics.read(path) if path.is_file() else ():
        step, tokens = line["step"], line.get("train/tokens", tokens)
        found = {key: value for key, value in line.items() if key.startswith("eval/") and _is_number(value)}
        if found:
            before, after = before or found, found
    return before, after, step, int(tokens) if _is_number(tokens) and tokens is not None else None


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _data_of(ledger: Mapping[str, object]) -> tuple[tuple[str, ...], int | None]:
    """File names, what was trained on first, and how many rows were kept: of one ledger, or of its part called train."""
    first = next((one for one in ledger.values() if isinstance(one, dict)), {})
    one = ledger if "rows" in ledger else ledger.get("train", first)
    if not isinstance(one, dict):
        return (), None
    files, kept = one.get("files"), one.get("kept")
    paths = [str(file) for file in files] if isinstance(files, dict) else []
    paths.sort(key=_held_out_whole(one).__contains__)
    return _told_apart(paths), kept if isinstance(kept, int) else None


def _held_out_whole(ledger: Mapping[str, object]) -> set[str]:
    """The files that nothing was trained on."""
    held_out = ledger.get("held_out")
    files = held_out.get("files") if isinstance(held_out, dict) else None
    if not isinstance(files, dict):
        return set()
    return {str(file) for file, of in files.items() if isinstance(of, dict) and of.get("characters") == of.get("of")}


def _told_apart(paths: Sequence[str]) -> tuple[str, ...]:
    """Names of files; those of one name with the folder around them."""
    names = Counter(PurePath(path).name for path in paths)
    short = (PurePath(path) for path in paths)
    return tuple(path.name if names[path.name] == 1 else "/".join(path.parts[-2:]) for path in short)


def _facts(record: Manifest) -> dict[str, str]:
    """What a run was made from beside its configuration, short enough to compare."""
    hashes = record.hashes
    named = {"data": hashes.data, "held-out data": hashes.eval, "base": hashes.base, "template": hashes.template}
    facts = {f"sha256 of {name}": value[:12] for name, value in named.items() if value}
    facts |= {"sha256 of code": hashes.code[:12], "device": record.device, "processes": str(record.world_size)}
    return facts | {f"version of {name}": value for name, value in record.versions.items()}
