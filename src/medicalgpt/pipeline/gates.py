"""Between two stages: the new model takes the pipeline's tests, and its gates say whether the next stage may begin."""

import gc
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from medicalgpt.config.evaluation import EvaluateConfig, Gate
from medicalgpt.config.pipeline import PipelineConfig
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import RunError
from medicalgpt.evaluation.answering import Answering
from medicalgpt.evaluation.catalog import FoundTest
from medicalgpt.evaluation.evaluation import evaluate
from medicalgpt.evaluation.gates import Judged, differences, judged_by, usual_gates
from medicalgpt.evaluation.names import ITEMS
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.evaluation.paired import Difference, holm
from medicalgpt.evaluation.progress import read_items_file
from medicalgpt.evaluation.settings import Settings
from medicalgpt.evaluation.stage_gates import StageJudged
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest
from medicalgpt.kernels.malloc import release_memory
from medicalgpt.language import translated
from medicalgpt.pipeline.plan import GATES, read_gates
from medicalgpt.pipeline.stage_numbers import before_of, measured, stage_gates_of
from medicalgpt.runs.atomic import write_text


class Blocked(RunError):
    """A stage's model lost more than a gate allows."""

    def __init__(self, stage: str, judged: Sequence[Judged | StageJudged]) -> None:
        lines = "\n".join(one.line for one in judged)
        super().__init__(
            f"{stage} is blocked, and no later stage is begun:\n{lines}\ntrain it otherwise (a smaller learning rate, fewer "
            "steps, other data), change its limit in `gates`, or set on_block=warn"
        )


def settings_of(asked: EvaluateConfig) -> Settings:
    """How a pipeline's tests are asked. Raises ConfigError where that makes no sense."""
    answers = Answering(asked.max_new_tokens) if asked.generate else None
    return Settings(asked.profile, asked.shuffle, asked.texts, asked.limit, asked.capacity, answers, asked.judge)


def check_stage(
    config: PipelineConfig,
    tests: Sequence[FoundTest],
    name: str,
    models: Mapping[str, ModelConfig],
    console: Console,
) -> list[Judged | StageJudged]:
    """Judge a stage by the pipeline's gates, those on tests and those on its own numbers together; written to gates.json.

    Args:
        tests: those of `config.evaluate`, with their files.
        name: the stage, or `base`, which takes the tests and is not judged.
        models: the base and the stages' models that answer, in order, by name.
    """
    gates: list[Gate] = []
    found: list[Difference] = []
    results: JsonObject = {}
    if config.evaluate is not None and name in models:
        gates, found, results = _test(config, tests, name, models, console)
    own = [(gate, measured(gate, config, name, models, console)) for gate in stage_gates_of(config, name)]
    # Judged together: the more gates there are, the more it takes to block one.
    p_values = holm([difference.worse for difference in found] + [number.beyond for _, number in own])
    judged: list[Judged | StageJudged] = [*judged_by(p_values[: len(found)], gates, found, results)]
    judged += [StageJudged(gate.number, gate.limit, one, p) for (gate, one), p in zip(own, p_values[len(found) :])]
    for one in judged:
        console.print(translated(one.line), highlight=False)
    _keep(config, name, judged)
    return judged


def _test(
    config: PipelineConfig,
    tests: Sequence[FoundTest],
    name: str,
    models: Mapping[str, ModelConfig],
    console: Console,
) -> tuple[list[Gate], list[Difference], JsonObject]:
    """Evaluate a model, the base and the one before it; the gates on tests, what became of what each names, and the results."""
    assert config.evaluate is not None  # whoever calls has looked
    folder, asked = Path(config.output_dir), config.evaluate
    settings = settings_of(asked)
    places = {model: folder / "evaluation" / model for model in models}
    before = before_of(name, models)
    wanted = list(dict.fromkeys(["base", before, name]))
    console.print(translated(f"testing {name} …"))
    results = {}
    for model in wanted:
        request = ModelRequest(
            models[model], ModelOptions(), lambda text: console.print(translated(text), highlight=False)
        )
        results[model] = evaluate(request, tests, settings, places[model], lambda text: console.print(translated(text)))
        gc.collect()
        release_memory()
    if name == "base":
        return [], [], results[name]
    items = {model: read_items_file(places[model] / ITEMS) for model in wanted}
    gates = config.test_gates or usual_gates(results["base"])
    found = []
    for gate in gates:
        other = "base" if gate.against == "base" else before
        found += differences([gate], results[other], results[name], items[other], items[name])
    return gates, found, results[name]


def _keep(config: PipelineConfig, name: str, judged: Sequence[Judged | StageJudged]) -> None:
    """A gate or stage that the file no longer has leaves no verdict behind: the page to sign shows what is asked for now."""
    path = Path(config.output_dir) / GATES
    before = read_gates(path)
    found = {stage: before[stage] for stage in before if any(stage == entry.name for entry in config.trained)}
    found.pop(name, None)
    if judged:
        found[name] = [one.as_dict() for one in judged]
    if found != before:
        write_text(path, json.dumps(found, indent=1) + "\n")
