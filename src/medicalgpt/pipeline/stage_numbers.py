"""The numbers of a pipeline's stages that gates may be set on: reward accuracy, KL, held-out losses, certificates, leaks."""

import gc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console

from medicalgpt.config.evaluation import StageGate
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.pipeline import PipelineConfig, asks
from medicalgpt.config.sections import ModelConfig
from medicalgpt.evaluation.leakage.measure import Looking, leakage
from medicalgpt.evaluation.leakage.told import Leakage
from medicalgpt.evaluation.stage_gates import (
    Measured,
    of_accuracy,
    of_certificate,
    of_leaks,
    of_losses,
    of_mean,
    unmeasured,
)
from medicalgpt.export import certificate
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest
from medicalgpt.kernels.malloc import release_memory
from medicalgpt.language import translated
from medicalgpt.pipeline.scores import scored
from medicalgpt.runs import manifest
from medicalgpt.runs.folder import MERGED
from medicalgpt.runs.intervals import Estimate
from medicalgpt.runs.reward_report import read_report


def stage_gates_of(config: PipelineConfig, name: str) -> list[StageGate]:
    """The gates on a stage's own numbers: those that name it, and those that name none and whose number it has."""
    entry = next((stage for stage in config.trained if stage.name == name), None)
    if entry is None:
        return []
    schema = stage_schema(entry.stage)
    merged = (Path(config.output_dir) / name / MERGED).is_dir()
    return [gate for gate in config.stage_gates if asks(gate, name, schema, merged)]


def before_of(name: str, models: Mapping[str, ModelConfig]) -> str:
    """The model that answers before this one; the base's is the base."""
    names = list(models)
    return names[max(0, names.index(name) - 1)]


def measured(
    gate: StageGate, config: PipelineConfig, name: str, models: Mapping[str, ModelConfig], console: Console
) -> Measured:
    """The number that a gate asks for, with its interval.

    Args:
        models: those that answer, in order; losses are measured with them where they are not yet known.

    Raises:
        RunError, ModelError: the run or its certificate is damaged.
    """
    run = Path(config.output_dir) / name
    if gate.number == "reward_accuracy":
        report = read_report(run / "model")
        return unmeasured("it has no held-out pairs") if report is None else of_accuracy(report.accuracy, gate.limit)
    if gate.number == "kl":
        return _kl(run, gate.limit)
    if gate.number == "certificate":
        found = certificate.read(run / MERGED)
        if found is None:
            return unmeasured("all weights were trained, so nothing was merged")
        return of_certificate(found.get("verdict"), list(found.get("excess", [])))
    if gate.number == "leaks":
        return of_leaks(_leaks(config, name, models, console), gate.limit)
    other = "base" if gate.against == "base" else before_of(name, models)
    before, after = (scored(one, models[one], config, console)["losses"][gate.number] for one in (other, name))
    return of_losses(np.asarray(before), np.asarray(after), gate.limit)


def _kl(run: Path, limit: float) -> Measured:
    record = manifest.read(run)
    value, low, high = (record.after.get(f"eval/kl{end}") for end in ("", "_low", "_high"))
    if value is None:
        return unmeasured("it has no held-out prompts")
    if low is None or high is None:
        return unmeasured("the run is of a version that noted no interval")
    return of_mean(Estimate(value, low, high, int(record.after.get("eval/rows") or 0)), limit)


def _leaks(config: PipelineConfig, name: str, models: Mapping[str, ModelConfig], console: Console) -> Leakage:
    """What a stage's model gives away, beside the base."""
    asked = config.leakage
    assert asked is not None  # the config was checked
    looking = Looking(
        key=Path(asked.canaries) if asked.canaries is not None else None,
        rows=tuple(map(Path, asked.rows)),
        kind=asked.kind,
        limit=asked.limit,
        tokens=asked.tokens,
        candidates=asked.candidates,
    )

    def say(text: str) -> None:
        console.print(translated(text), highlight=False, markup=False)

    console.print(translated(f"looking for leaks of {name} …"))
    mine, base = (ModelRequest(models[one], ModelOptions(), say) for one in (name, "base"))
    found = leakage(mine, base, looking, Path(config.output_dir) / name / "evaluation" / "leakage", say)
    gc.collect()
    release_memory()
    return found
