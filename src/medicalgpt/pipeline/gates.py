"""Between two stages: the new model takes the pipeline's tests, and its gates say whether the next stage may begin."""

import gc
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from medicalgpt.config.evaluation import EvaluateConfig
from medicalgpt.config.pipeline import PipelineConfig
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import RunError
from medicalgpt.evaluation.answering import Answering
from medicalgpt.evaluation.catalog import FoundTest
from medicalgpt.evaluation.evaluation import ITEMS, evaluate
from medicalgpt.evaluation.gates import Judged, corrected, differences, usual_gates
from medicalgpt.evaluation.progress import read_items_file
from medicalgpt.evaluation.settings import Settings
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest
from medicalgpt.kernels.malloc import release_memory
from medicalgpt.runs.atomic import write_text


class Blocked(RunError):
    """A stage's model lost more than a gate allows."""

    def __init__(self, stage: str, judged: Sequence[Judged]) -> None:
        lines = "\n".join(one.line for one in judged)
        super().__init__(
            f"{stage} is blocked, and no later stage is begun:\n{lines}\ntrain it otherwise (a smaller learning rate, fewer "
            "steps, other data), raise the margin in `gates`, or set on_block=warn"
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
) -> list[Judged]:
    """Evaluate a model of the pipeline and judge it against the base and the one before; written to gates.json.

    Args:
        tests: those of `config.evaluate`, with their files.
        models: the base and the stages' models that answer, in order, by name.
    """
    assert config.evaluate is not None  # whoever calls has looked
    folder, asked = Path(config.output_dir), config.evaluate
    settings = settings_of(asked)
    places = {model: folder / "evaluation" / model for model in models}
    names = list(models)
    before = names[max(0, names.index(name) - 1)]
    wanted = list(dict.fromkeys(["base", before, name]))
    console.print(f"testing {name} …")
    results = {}
    for model in wanted:
        request = ModelRequest(models[model], ModelOptions(), lambda text: console.print(text, highlight=False))
        results[model] = evaluate(request, tests, settings, places[model], lambda text: console.print(text))
        gc.collect()
        release_memory()
    if name == "base":
        return []
    items = {model: read_items_file(places[model] / ITEMS) for model in wanted}
    gates = config.gates or usual_gates(results["base"])
    found = []
    for gate in gates:
        other = "base" if gate.against == "base" else before
        found += differences([gate], results[other], results[name], items[other], items[name])
    judged = corrected(gates, found, results[name])
    for one in judged:
        console.print(one.line, highlight=False)
    _keep(folder / "gates.json", name, judged)
    return judged


def _keep(path: Path, name: str, judged: Sequence[Judged]) -> None:
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_text(path, json.dumps(found | {name: [one.as_dict() for one in judged]}, indent=1) + "\n")
