"""The before → after table of a pipeline, on the terminal, as Markdown and as JSON, with one figure of all loss curves."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.pipeline import PipelineConfig, StageEntry
from medicalgpt.config.sections import ModelConfig
from medicalgpt.language import translated
from medicalgpt.pipeline import rewards, screen
from medicalgpt.pipeline.plan import SUMMARY
from medicalgpt.pipeline.scores import scored
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.intervals import Estimate
from medicalgpt.runs.lettering import lettered, lettering
from medicalgpt.runs.metrics import read as read_metrics

if TYPE_CHECKING:  # lazy: heavy
    from matplotlib.figure import Figure

_PERCENT = {"preference accuracy", "stop rate"}


def write_summary(
    config: PipelineConfig, models: dict[str, ModelConfig], console: Console, show_it: bool = True
) -> Path:
    """Score every model (scores already there for the same weights are kept) and write summary.md, .json and loss.png.

    With `show_it` the terminal gets the table, too.
    """
    folder = Path(config.output_dir)
    found = {name: scored(name, model, config, console) for name, model in models.items()}
    results = {name: {k: v for k, v in one.items() if k != "losses"} for name, one in found.items()}
    write_text(folder / SUMMARY, json.dumps(results, indent=1, ensure_ascii=False))
    facts = rewards.reward_facts(folder, config.trained)
    told = [translated(line) for line in rewards.markdown(facts)]
    text = _markdown(config, results) + "\n".join([*told, ""] if facts else [])
    if facts:
        rewards.write(folder, facts)
    write_text(folder / "summary.md", text)
    _figure(folder, config.trained)
    if show_it:
        screen.show(rows_of(results), answers_of(config, results), console)
        for line in told:
            console.print(line, highlight=False)
    more = ", rewards.json" if facts else ""
    console.print(translated(f"written: {folder}/summary.md, {SUMMARY}, loss.png{more}"))
    return folder / "summary.md"


def show(name: str, value: dict[str, Any]) -> str:
    """A number with its 95 % interval."""
    e = Estimate(**value)
    if name in _PERCENT:
        return f"{e.value:.1%} [{e.low:.1%}, {e.high:.1%}]"
    digits = 2 if name.endswith("perplexity") else 3
    return f"{e.value:.{digits}f} [{e.low:.{digits}f}, {e.high:.{digits}f}]"


def rows_of(results: dict[str, Any]) -> list[screen.Row]:
    """Each number's name, and its texts with intervals by model, with the number of rows behind it."""
    first = next(iter(results.values()))["numbers"]
    return [
        screen.Row(n, {name: show(n, r["numbers"][n]) for name, r in results.items()}, int(first[n]["rows"]))
        for n in first
    ]


def answers_of(config: PipelineConfig, results: dict[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """The questions, each with every model's answer."""
    return [
        (question, {name: r["answers"][i] for name, r in results.items()})
        for i, question in enumerate(config.compare.questions)
    ]


def _markdown(config: PipelineConfig, results: dict[str, Any]) -> str:
    lines = [
        translated("# Before → after each stage"),
        "",
        translated("Held-out numbers with 95 % intervals; losses and margins in nats per token."),
        "",
    ]
    lines += ["| | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    lines += [f"| {translated(row.name)} | " + " | ".join(row.cells.values()) + " |" for row in rows_of(results)]
    lines += ["", *(f"- {translated(line)}" for line in screen.meanings(rows_of(results)))]
    for question, answers in answers_of(config, results):
        lines += ["", f"## {question}", ""]
        lines += [f"**{name}:** {answer.strip()}\n" for name, answer in answers.items()]
    return "\n".join(lines) + "\n"


def _figure(folder: Path, stages: list[StageEntry]) -> None:
    """Training loss of every stage and its held-out points, side by side."""
    with lettering():
        figure = _loss_curves(folder, stages)
        figure.savefig(folder / "loss.png", dpi=120)


def _loss_curves(folder: Path, stages: list[StageEntry]) -> "Figure":
    from matplotlib.figure import Figure  # not pyplot, which would change the backend of a notebook that calls us

    figure = Figure(figsize=(4.2 * len(stages), 3.2), layout="tight")
    axes = figure.subplots(1, len(stages), squeeze=False)
    for axis, stage in zip(axes[0], stages):
        lines = read_metrics(folder / stage.name / "metrics.jsonl")
        schema = stage_schema(stage.stage)
        curve = "score" if schema.rollouts else "loss"
        for part, style, label in (("train", "-", lettered("training")), ("eval", "o", lettered("held-out"))):
            points = [(x["step"], x[f"{part}/{curve}"]) for x in lines if x.get(f"{part}/{curve}") is not None]
            axis.plot(*zip(*points), style, label=label) if points else None
        axis.set(title=stage.name, xlabel=lettered("step"), ylabel=lettered(schema.unit))
        axis.legend()
    return figure
