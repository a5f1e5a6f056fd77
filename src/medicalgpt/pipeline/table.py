"""The before → after table of a pipeline, on the terminal, as Markdown and as JSON, with one figure of all loss curves."""

import gc
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.pipeline import PipelineConfig, StageEntry
from medicalgpt.config.sections import ModelConfig
from medicalgpt.pipeline import rewards
from medicalgpt.runs.hashes import hash_json, hash_tree
from medicalgpt.runs.intervals import Estimate
from medicalgpt.runs.metrics import read as read_metrics

_PERCENT = {"preference accuracy", "stop rate"}


def write_summary(
    config: PipelineConfig, models: dict[str, ModelConfig], console: Console, show_it: bool = True
) -> Path:
    """Score every model (scores already there for the same weights are kept) and write summary.md, .json and loss.png.

    With `show_it` the terminal gets the table, too.
    """
    folder = Path(config.output_dir)
    results = {name: _scored(folder, name, model, config, console) for name, model in models.items()}
    (folder / "summary.json").write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")
    facts = rewards.reward_facts(folder, config.stages)
    text = _markdown(config, results) + "\n".join([*rewards.markdown(facts), ""] if facts else [])
    if facts:
        rewards.write(folder, facts)
    (folder / "summary.md").write_text(text, encoding="utf-8")
    _figure(folder, config.stages)
    if show_it:
        _print(config, results, console)
        for line in rewards.markdown(facts):
            console.print(line, highlight=False)
    more = ", rewards.json" if facts else ""
    console.print(f"written: {folder}/summary.md, summary.json, loss.png{more}")
    return folder / "summary.md"


def _scored(folder: Path, name: str, model: ModelConfig, config: PipelineConfig, console: Console) -> dict[str, Any]:
    from medicalgpt.evaluate.compare import score  # lazy: heavy
    from medicalgpt.models.embedded.registry import cache_root  # lazy: heavy
    from medicalgpt.models.load import load  # lazy: heavy

    console.print(f"measuring {name} …")
    key = hash_json([_weights(model), config.compare.model_dump()])
    path = folder / "scores" / f"{name}.json"
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["key"] == key:
            return stored  # type: ignore[no-any-return]
    loaded = load(model)
    found = score(loaded, config.compare, cache_root())
    out = {"key": key, "numbers": {k: asdict(v) for k, v in found.numbers.items()}, "answers": found.answers}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(out, indent=1, ensure_ascii=False), encoding="utf-8")
    del loaded
    gc.collect()
    return out


def _weights(model: ModelConfig) -> Any:
    """Hashes of a model's weights and template, its adapter's too, without loading them; of a Hub model its name."""
    from medicalgpt.models.adapters import read_adapter
    from medicalgpt.models.locate import locate

    found = locate(model.base, model.revision, model.trust_remote_code)
    if found.kind in ("adapter", "hub-adapter"):
        below = str(read_adapter(found)["base_model_name_or_path"])
        own = hash_tree(found.path_or_id, ("*.safetensors", "*.jinja")) if found.kind == "adapter" else model.base
        return [own, _weights(model.model_copy(update={"base": below, "revision": None}))]
    local = Path(found.path_or_id)
    return hash_tree(local, ("*.safetensors", "*.jinja")) if local.is_dir() else model.base


def show(name: str, value: dict[str, Any]) -> str:
    """A number with its 95 % interval."""
    e = Estimate(**value)
    if name in _PERCENT:
        return f"{e.value:.1%} [{e.low:.1%}, {e.high:.1%}]"
    digits = 2 if name.endswith("perplexity") else 3
    return f"{e.value:.{digits}f} [{e.low:.{digits}f}, {e.high:.{digits}f}]"


def _rows(results: dict[str, Any]) -> list[tuple[str, list[str]]]:
    names = list(next(iter(results.values()))["numbers"])
    return [(n, [show(n, r["numbers"][n]) for r in results.values()]) for n in names]


def _print(config: PipelineConfig, results: dict[str, Any], console: Console) -> None:
    table = Table("held-out, 95 % interval", *results, title="before → after each stage")
    for name, cells in _rows(results):
        table.add_row(name, *cells)
    console.print(table)
    for i, question in enumerate(config.compare.questions):
        answers = Table(*results, title=question, show_lines=True)
        answers.add_row(*(r["answers"][i] for r in results.values()))
        console.print(answers)


def _markdown(config: PipelineConfig, results: dict[str, Any]) -> str:
    lines = [
        "# Before → after each stage",
        "",
        "Held-out numbers with 95 % intervals; losses and margins in nats per token.",
        "",
    ]
    lines += ["| | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in _rows(results)]
    for i, question in enumerate(config.compare.questions):
        lines += ["", f"## {question}", ""]
        lines += [f"**{name}:** {r['answers'][i].strip()}\n" for name, r in results.items()]
    return "\n".join(lines) + "\n"


def _figure(folder: Path, stages: list[StageEntry]) -> None:
    """Training loss of every stage and its held-out points, side by side."""
    from matplotlib.figure import Figure  # not pyplot, which would change the backend of a notebook that calls us

    figure = Figure(figsize=(4.2 * len(stages), 3.2), layout="tight")
    axes = figure.subplots(1, len(stages), squeeze=False)
    for axis, stage in zip(axes[0], stages):
        lines = read_metrics(folder / stage.name / "metrics.jsonl")
        schema = stage_schema(stage.stage)
        curve = "score" if schema.rollouts else "loss"
        for key, style in ((f"train/{curve}", "-"), (f"eval/{curve}", "o")):
            points = [(x["step"], x[key]) for x in lines if x.get(key) is not None]
            axis.plot(*zip(*points), style, label=key) if points else None
        axis.set(
            title=stage.name,
            xlabel="step",
            ylabel=schema.unit,
        )
        axis.legend()
    figure.savefig(folder / "loss.png", dpi=120)
