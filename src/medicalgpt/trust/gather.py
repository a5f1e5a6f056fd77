"""All of a report, gathered from folders: nothing is trained, asked or fetched for it."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from medicalgpt.config.evaluation import StageGate
from medicalgpt.config.pipeline import asks
from medicalgpt.config.stages import STAGES
from medicalgpt.errors import ConfigError, RunError
from medicalgpt.evaluation.finished import Evaluation
from medicalgpt.pipeline.plan import SUMMARY
from medicalgpt.runs import manifest
from medicalgpt.runs.folder import MERGED, RunFolder
from medicalgpt.runs.hashes import hash_file
from medicalgpt.runs.reward_report import read_report
from medicalgpt.runs.trust_file import Trust
from medicalgpt.runs.trust_parts import Estimate, GateLine, HeldOut, Model, RewardModel, Test
from medicalgpt.runs.trust_parts import Stage as TrustStage
from medicalgpt.trust.corpora import corpora, folders_of
from medicalgpt.trust.data import data_of, licenses_of
from medicalgpt.trust.evaluations import BASE, answering, evaluations_of, groups_of, tests_of
from medicalgpt.trust.instruments import detectors, judges
from medicalgpt.trust.lineage import certificates_of, lineage_of
from medicalgpt.trust.samples import samples_of
from medicalgpt.trust.subject import Stage, Subject, open_subject
from medicalgpt.trust.unmeasured import not_measured
from medicalgpt.trust.verdict import LEAKAGE, leakage_gates, pipeline_gates, run_gates, verdict_of


def gather(folder: Path, before: Path | None = None) -> Trust:
    """What may be said of the run or pipeline in a folder.

    Args:
        before: of a run, the evaluation of the model before it, to be compared with.

    Raises:
        RunError, ModelError: it is neither, or something in it is damaged. DataError: the two evaluations are not of the same
            tests. ConfigError: `before` with a pipeline, whose base takes the tests by itself.
    """
    subject = open_subject(folder)
    if before is not None and subject.kind == "pipeline":
        raise ConfigError(f"{folder} is a pipeline, whose base takes its tests by itself; leave --before out")
    earlier = Evaluation.open(before) if before is not None else None
    found = evaluations_of(subject, earlier)
    tests = tests_of(found)
    gates = _gates(subject, found.by_model, earlier)
    gates += leakage_gates(subject, gates)
    data = [data_of(stage, record) for stage, record in subject.finished]
    curations = folders_of(subject)
    curated = corpora(curations)
    links, proofs = lineage_of(subject, data, curations), certificates_of(subject)
    licenses = licenses_of(subject, data, tests)
    models = list(_models(subject, found.by_model))
    instruments = [*detectors(), *judges(found.by_model)]
    missing = not_measured(subject, models, tests, gates, links, proofs, licenses, data, instruments, curated)
    return Trust(
        kind=subject.kind,
        name=subject.name,
        verdict=verdict_of(subject, gates, links, _wanted(subject, gates)),
        stages=[_stage(stage) for stage in subject.stages],
        gates=gates,
        models=models,
        groups=groups_of(found, tests),
        tests=tests,
        instruments=instruments,
        compared=_compared(subject),
        held_out=[
            HeldOut(stage=stage.name, rows=one.held_out, before=record.before, after=record.after)
            for (stage, record), one in zip(subject.finished, data)
            if record.after
        ],
        reward_models=list(_reward_models(subject)),
        corpora=curated,
        data=data,
        licenses=licenses,
        lineage=links,
        certificates=proofs,
        samples=samples_of(subject),
        not_measured=[*found.left_out, *missing],
        commands=list(_commands(subject, tests, before)),
        versions=subject.finished[-1][1].versions if subject.finished else manifest.versions(),
    )


def _stage(stage: Stage) -> TrustStage:
    found = stage.record
    return TrustStage(
        name=stage.name,
        stage=stage.kind or None,
        finished=found.created if found else None,
        seed=found.seed if found else None,
        device=found.device if found else None,
    )


def _gates(subject: Subject, by_model: Mapping[str, Sequence[Evaluation]], before: Evaluation | None) -> list[GateLine]:
    if subject.kind == "pipeline":
        return pipeline_gates(subject)
    if before is None:
        return []
    name = subject.stages[-1].name
    for one in by_model.get(name, ()):
        if one.results["tests"].keys() == before.results["tests"].keys():
            return run_gates(name, one.judged_against(before))
    raise RunError(
        f"{subject.folder} holds no evaluation of the same tests as {before.folder}: {', '.join(before.results['tests'])}; "
        f"make one: medicalgpt evaluate run --model {shlex.quote(str(subject.folder))} --suite …"
    )


def _wanted(subject: Subject, gates: Sequence[GateLine]) -> dict[str, bool]:
    """Finished stages that were to be judged, and whether they were."""
    if subject.plan is None:
        return {}
    judged = {(gate.stage, gate.kind) for gate in gates if gate.name != LEAKAGE}
    numbers = [gate for gate in subject.plan.gates if isinstance(gate, StageGate)]
    return {
        stage.name: not (
            (subject.plan.suites and stage.answers and (stage.name, "items") not in judged)
            or (any(_asked(gate, stage) for gate in numbers) and (stage.name, "stage") not in judged)
        )
        for stage, _ in subject.finished
    }


def _asked(gate: StageGate, stage: Stage) -> bool:
    return asks(gate, stage.name, STAGES.get(stage.kind), (stage.folder / MERGED).is_dir())


def _models(subject: Subject, by_model: Mapping[str, object]) -> Iterator[Model]:
    if subject.base:
        yield Model(name=BASE, stage=None, run=None, manifest_sha256=None, tested=BASE in by_model)
    for stage in answering(subject):
        file = stage.folder / manifest.NAME
        sha256 = hash_file(file) if stage.record is not None else None
        run = stage.folder.resolve().name
        yield Model(
            name=stage.name, stage=stage.kind or None, run=run, manifest_sha256=sha256, tested=stage.name in by_model
        )


def _compared(subject: Subject) -> dict[str, dict[str, Estimate]]:
    """What the pipeline measured of every model on held-out data: number, then model."""
    path = subject.folder / SUMMARY
    if subject.kind == "run" or not path.is_file():
        return {}
    found: dict[str, dict[str, Estimate]] = {}
    try:
        for model, values in json.loads(path.read_text(encoding="utf-8")).items():
            for number, estimate in values["numbers"].items():
                found.setdefault(number, {})[model] = Estimate.model_validate(estimate)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError, RecursionError):
        raise RunError(f"{path} is damaged; give the command of the pipeline again, which writes it anew") from None
    return found


def _reward_models(subject: Subject) -> Iterator[RewardModel]:
    for stage in subject.stages:
        report = read_report(stage.folder / "model")
        if report is not None:
            yield RewardModel(
                stage=stage.name,
                accuracy=Estimate.model_validate(vars(report.accuracy)),
                length_accuracy=report.length_accuracy,
                calibration_error=report.calibration_error,
                warnings=report.warnings,
            )


def _commands(subject: Subject, tests: Sequence[Test], before: Path | None) -> Iterator[str]:
    """What makes the models, their evaluations and this report again."""
    place = shlex.quote(str(subject.folder))
    if subject.plan is not None:
        yield subject.plan.command
    else:
        for stage in subject.stages:
            config = shlex.quote(str(RunFolder(stage.folder).config))
            yield f"medicalgpt train {stage.kind or 'STAGE'} --config {config}"
        for profile in dict.fromkeys(test.profile for test in tests):
            names = ",".join(test.name for test in tests if test.profile == profile)
            yield f"medicalgpt evaluate run --model {place} --suite {names} --tests tests/ --profile {profile}"
    compared = f" --before {shlex.quote(str(before))}" if before is not None else ""
    yield f"medicalgpt report {place}{compared}"
