"""What models reached on named tests: evaluations that belong to these very weights, side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from medicalgpt.errors import DataError, RunError
from medicalgpt.evaluation.evaluation import MODEL_FILES
from medicalgpt.evaluation.finished import Evaluation
from medicalgpt.evaluation.gates import check_comparable
from medicalgpt.evaluation.names import RESULTS
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.runs.trust_parts import Estimate, Group, Test, Unmeasured
from medicalgpt.trust.places import base_folder, same_weights
from medicalgpt.trust.subject import Stage, Subject

BASE = "base"


@dataclass
class Measured:
    """Evaluations by model, in order, and what was found and cannot be used."""

    by_model: dict[str, list[Evaluation]] = field(default_factory=dict)
    left_out: list[Unmeasured] = field(default_factory=list)


def evaluations_of(subject: Subject, before: Evaluation | None = None) -> Measured:
    """The finished evaluations of a pipeline's models, or of a run and of the model `before` it.

    Raises:
        RunError: results are damaged, or their items are others.
    """
    found = Measured()
    if subject.kind == "pipeline":
        _take(found, BASE, [subject.folder / "evaluation" / BASE], _base(subject))
        for stage in subject.stages:
            if stage.answers:
                _take(found, stage.name, [subject.folder / "evaluation" / stage.name], stage.models)
        return found
    if before is not None:
        found.by_model[BASE] = [before]
    own = subject.stages[-1]
    _take(found, own.name, sorted((subject.folder / "evaluation").glob("*")), own.models)
    return found


def _base(subject: Subject) -> list[Path] | None:
    """Where the base lies; None where it is not here, so that nothing can be compared with it."""
    folder = base_folder(subject.base)
    return None if folder is None else [folder]


def _take(found: Measured, name: str, folders: Sequence[Path], models: Sequence[Path] | None) -> None:
    for folder in folders:
        if not (folder / RESULTS).is_file():
            continue
        evaluation = Evaluation.open(folder)
        try:
            (weights, *more) = evaluation.results["model"]["weights"]
        except (KeyError, TypeError, ValueError):
            raise RunError(f"{folder / RESULTS} is damaged: it says nothing of a model; evaluate it again") from None
        if models is not None and (more or not same_weights(models, weights, MODEL_FILES)):
            found.left_out.append(Unmeasured(what="stale", detail=f"{name}: {folder.name}"))
            continue
        found.by_model.setdefault(name, []).append(evaluation)


def tests_of(found: Measured) -> list[Test]:
    """Every test with all models' numbers; of a test that a model took several times, the one with the most items.

    What a model took otherwise than the first one did (version, files, settings) is no number to put beside, and is left out.

    Raises:
        RunError: an evaluation's results are damaged.
    """
    for evaluations in found.by_model.values():
        for one in evaluations:
            _require_whole(one)
    chosen = {name: dict(_largest(evaluations)) for name, evaluations in found.by_model.items()}
    names = dict.fromkeys(test for tests in chosen.values() for test in tests)
    out = []
    for name in names:
        taken: dict[str, Evaluation] = {}
        for model, tests in chosen.items():
            if name in tests:
                first = next(iter(taken.values()), tests[name])
                try:
                    check_comparable(_alone(first, name), _alone(tests[name], name))
                    taken[model] = tests[name]
                except DataError:
                    found.left_out.append(Unmeasured(what="otherwise", detail=f"{model}: {name}"))
        out.append(_test(name, taken))
    return out


def _require_whole(one: Evaluation) -> None:
    """Raises RunError where results lack what all of this version have."""
    try:
        for name in dict(one.results["tests"]):
            _test(name, {BASE: one})
            check_comparable(_alone(one, name), _alone(one, name))
        for name, group in one.results["groups"].items():
            Group(name=name, tests=group["tests"], scores={BASE: _of_group(group)})
    except (KeyError, TypeError, AttributeError, ValidationError):
        raise RunError(f"{one.folder / RESULTS} is damaged; remove that folder and evaluate the model again") from None


def _largest(evaluations: Sequence[Evaluation]) -> Iterator[tuple[str, Evaluation]]:
    most: dict[str, Evaluation] = {}
    for one in evaluations:
        for name, test in one.results["tests"].items():
            if name not in most or test["items"] > most[name].results["tests"][name]["items"]:
                most[name] = one
    yield from most.items()


def _alone(evaluation: Evaluation, name: str) -> JsonObject:
    return evaluation.results | {"tests": {name: evaluation.results["tests"][name]}}


def _test(name: str, taken: Mapping[str, Evaluation]) -> Test:
    found = {model: one.results["tests"][name] for model, one in taken.items()}
    facts, settings = next(iter(found.values())), next(iter(taken.values())).results["settings"]
    headline = facts["headline"]
    subjects = dict.fromkeys(s for test in found.values() for s in test.get("by_subject", {}))
    return Test(
        name=name,
        title=facts["title"],
        version=facts["version"],
        group=facts["group"],
        license=facts["license"],
        kind=facts.get("kind", "choice"),
        headline=headline,
        profile=settings["profile"],
        orders=settings["orders"],
        items=facts["items"],
        of=facts["of"],
        too_long=facts["too_long"],
        several=facts.get("multiple") or 0,
        files=facts["files"],
        scores=_numbers(found, "scores", headline),
        by_subject={s: _numbers(found, "by_subject", s, headline) for s in subjects},
        answers=_answers(found),
        refused=_numbers(found, "refused"),
        over_refused=_numbers(found, "over_refused"),
        control=_numbers(found, "control", "likelier"),
    )


def _numbers(found: Mapping[str, JsonObject], *path: str) -> dict[str, Estimate]:
    """The number at a place of each model's results, of those that have it."""
    out = {}
    for model, values in found.items():
        inner: object = values
        for key in path:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            out[model] = Estimate.model_validate(inner)
    return out


def _answers(found: Mapping[str, JsonObject]) -> dict[str, dict[str, Estimate]]:
    """Of written answers: right, refused, unparsed, ended by themselves, repeating, holding masks; by number, then by model."""
    places = {
        "answer": ("scores", "answer"),
        "refusal": ("scores", "refusal"),
        "refused": ("refused",),
        "over_refused": ("over_refused",),
        "unparsed": ("unparsed", "answer"),
        "nothing": ("nothing",),
        "stop": ("stop",),
        "repeats": ("repeats",),
        "masks": ("masks",),
    }
    told = {number: _numbers(found, "answers", *place) for number, place in places.items()}
    return {number: values for number, values in told.items() if values}


def groups_of(found: Measured, tests: Sequence[Test]) -> list[Group]:
    """Every suite with the numbers of models that took all its tests in the way of the first one."""
    scores: dict[str, dict[str, Estimate]] = {}
    members: dict[str, list[str]] = {}
    by_name = {test.name: test for test in tests}
    for model, evaluations in found.by_model.items():
        for one in evaluations:
            for name, group in one.results["groups"].items():
                same = members.setdefault(name, group["tests"]) == group["tests"]
                if same and all(test in by_name and model in by_name[test].scores for test in group["tests"]):
                    scores.setdefault(name, {})[model] = _of_group(group)
    return [Group(name=name, tests=members[name], scores=values) for name, values in scores.items()]


def _of_group(group: JsonObject) -> Estimate:
    return Estimate.model_validate({name: value for name, value in group.items() if name != "tests"})


def answering(subject: Subject) -> list[Stage]:
    """The stages whose models answer; of a run the run alone."""
    stages = subject.stages if subject.kind == "pipeline" else subject.stages[-1:]
    return [stage for stage in stages if stage.answers]
