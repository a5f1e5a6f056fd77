"""Pipelines, evaluations and looks for leaks as lines of a list."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from medicalgpt.browse.files import changed_at, number_of, read_json, size_of
from medicalgpt.browse.info import Measured, RunInfo, State, scored
from medicalgpt.errors import RunError
from medicalgpt.evaluation.names import ITEMS, LEAKAGE, PROGRESS, RESULTS
from medicalgpt.pipeline.plan import GATES, SUMMARY, Plan, read_gates, read_plan
from medicalgpt.runs.folder import LOCK
from medicalgpt.runs.lock import held


def is_evaluation(names: set[str]) -> bool:
    """Whether a folder with these names in it is an evaluation's, finished or not."""
    return PROGRESS in names or {RESULTS, ITEMS} <= names


def evaluation_info(folder: Path, name: str) -> RunInfo:
    """Suites with intervals, or the tests where there is no suite; unfinished, how it stands."""
    if not (folder / RESULTS).is_file() or (folder / PROGRESS).is_file():
        running = held(folder / LOCK)
        state: State = "running" if running else "interrupted"
        note = "" if running else "the same command goes on where it was broken off"
        changed = changed_at(folder / PROGRESS, folder)
        return RunInfo(folder, name, "evaluation", "", state, note, size=size_of(folder), changed=changed)
    found = read_json(folder / RESULTS)
    if found is None or not isinstance(found.get("tests"), dict):
        note = f"{RESULTS} is damaged; run the evaluation again"
        return RunInfo(folder, name, "evaluation", "", "failed", note, size=size_of(folder))
    return RunInfo(
        folder,
        name,
        "evaluation",
        "",
        "finished",
        base=_model_of(found),
        measured=tuple(_scores(found)),
        rows=sum(int(number_of(test.get("items")) or 0) for test in _mappings(found["tests"]).values()),
        size=size_of(folder),
        seconds=number_of(found.get("seconds")),
        changed=changed_at(folder / RESULTS),
    )


def _model_of(found: Mapping[str, object]) -> str:
    model = found.get("model")
    config = model.get("config") if isinstance(model, dict) else None
    return str(config.get("base", "")) if isinstance(config, dict) else ""


def _scores(found: Mapping[str, object]) -> Iterator[Measured]:
    for name, group in _mappings(found.get("groups")).items():
        yield _estimate(name, group)
    for name, test in _mappings(found.get("tests")).items():
        scores = _mappings(test.get("scores"))
        if name not in _mappings(found.get("groups")):
            yield _estimate(name, scores.get(str(test.get("headline")), {}))


def _estimate(name: str, values: Mapping[str, object]) -> Measured:
    return scored(name, *(number_of(values.get(part)) for part in ("value", "low", "high")))


def _mappings(value: object) -> dict[str, dict[str, object]]:
    return {str(k): v for k, v in value.items() if isinstance(v, dict)} if isinstance(value, dict) else {}


def leakage_info(folder: Path, name: str) -> RunInfo:
    """What was found by a look for leaks."""
    found, size, changed = read_json(folder / LEAKAGE), size_of(folder), changed_at(folder / LEAKAGE)
    leaks = number_of(found.get("leaks")) if found is not None else None
    if found is None or leaks is None:
        note = f"{LEAKAGE} is damaged; look again: medicalgpt evaluate leakage"
        return RunInfo(folder, name, "leakage", "", "failed", note, size=size, changed=changed)
    measured = (Measured("leaks", "", f"{leaks:.0f}", "", {"after": leaks}),)
    note = str(found.get("note") or "")
    return RunInfo(folder, name, "leakage", "", "finished", note, measured=measured, size=size, changed=changed)


def pipeline_info(folder: Path, name: str, stages: Sequence[RunInfo]) -> RunInfo:
    """A pipeline by its plan and the stages that were found in it; blocked gates are said."""
    size = size_of(folder)
    try:
        plan, gates = read_plan(folder), read_gates(folder / GATES)
    except RunError as error:
        return RunInfo(folder, name, "pipeline", "", "failed", str(error), size=size)
    blocked = [
        f"{stage}: {one['name']}" for stage, found in gates.items() for one in found if one["verdict"] == "BLOCK"
    ]
    state, note = _pipeline_state(folder, plan, {one.path.name: one for one in stages}, blocked)
    return RunInfo(
        folder,
        name,
        "pipeline",
        " → ".join(one.stage for one in plan.stages),
        state,
        note,
        plan.base,
        size=size,
        seconds=sum(one.seconds or 0.0 for one in stages),
        changed=changed_at(folder / SUMMARY) or max((one.changed for one in stages if one.changed), default=None),
    )


def _pipeline_state(
    folder: Path, plan: Plan, stages: Mapping[str, RunInfo], blocked: Sequence[str]
) -> tuple[State, str]:
    running = [name for name, one in stages.items() if one.state == "running"]
    if running:
        return "running", f"at {running[0]}"
    failed = [name for name, one in stages.items() if one.state == "failed"]
    if failed:
        return "failed", f"{failed[0]} failed: {stages[failed[0]].note}"
    said = f"blocked by {'; '.join(blocked)}" if blocked else ""
    missing = [one.name for one in plan.stages if one.name not in stages or stages[one.name].state != "finished"]
    if missing:
        if blocked and plan.on_block == "stop":
            return "failed", said
        return "interrupted", f"the same command goes on with {missing[0]}"
    if not (folder / SUMMARY).is_file():
        return "interrupted", "the same command goes on with the comparison of its models"
    return "finished", said
