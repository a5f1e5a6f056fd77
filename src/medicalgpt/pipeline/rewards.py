"""What a pipeline's summary says beside the table: how good its reward model is, and what learning from rewards changed."""

import json
from pathlib import Path
from typing import Any

from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.pipeline import StageEntry
from medicalgpt.runs import manifest
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.metrics import read as read_metrics
from medicalgpt.runs.reward_report import lines, read_report

_ENDS = ("_low", "_high")
_SHOWN = ("score", "reward", "kl", "stop_rate", "length", "answer_loss")


def reward_facts(folder: Path, stages: list[StageEntry]) -> dict[str, Any]:
    """Per stage: a reward model's report in words, or held-out numbers before and after with sample answers."""
    out: dict[str, Any] = {}
    for stage in stages:
        run, schema = folder / stage.name, stage_schema(stage.stage)
        if schema.scores and (report := read_report(run / "model")) is not None:
            out[stage.name] = {"report": lines(report), "accuracy": report.as_dict()["accuracy"]}
        elif schema.rollouts:
            record = manifest.read(run)
            out[stage.name] = {"before": record.before, "after": record.after, "samples": _samples(run)}
    return out


def _samples(run: Path) -> list[dict[str, Any]]:
    """First and last answer to each sampled prompt, with their scores."""
    found: dict[str, dict[str, Any]] = {}
    for line in read_metrics(run / "samples.jsonl") if (run / "samples.jsonl").is_file() else ():
        question = line["prompt"][-1]["content"]
        one = {"answer": line["answer"], "score": line.get("score")}
        found.setdefault(line.get("source", question), {"question": question, "first": one})["last"] = one
    return list(found.values())


def markdown(facts: dict[str, Any]) -> list[str]:
    """The facts as Markdown lines."""
    out: list[str] = []
    for name, fact in facts.items():
        out += ["", f"## {name}", ""]
        if "report" in fact:
            out += [f"- {text.strip()}" for text in fact["report"]]
            continue
        out += ["| held-out prompts, greedy answers | before | after |", "|---|---|---|"]
        parts = [
            n.removeprefix("eval/") for n in fact["after"] if n.startswith("eval/parts/") and not n.endswith(_ENDS)
        ]
        labels = [*_SHOWN, *parts]
        out += [f"| {label} | {_cell(fact['before'], label)} | {_cell(fact['after'], label)} |" for label in labels]
        out += ["", *_gain(fact["after"])]
        for sample in fact["samples"]:
            out += ["", f"**{sample['question'].strip()}**", ""]
            out += [
                f"- {when}, score {_number(one['score'])}: {' '.join(one['answer'].split())}"
                for when, one in _both(sample)
            ]
    return out


def _both(sample: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("before", sample["first"]), ("after", sample["last"])]


def _cell(numbers: dict[str, float | None], label: str) -> str:
    value = numbers.get(f"eval/{label}")
    low, high = numbers.get(f"eval/{label}_low"), numbers.get(f"eval/{label}_high")
    between = f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
    return _number(value) + between


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _gain(after: dict[str, float | None]) -> list[str]:
    found = [
        (name, *(after.get(f"eval/{name}_gain{end}") for end in ("", "_low", "_high"))) for name in ("score", "reward")
    ]
    return [
        f"Gain in {name} per prompt: {gain:+.3f}, 95 % interval [{low:+.3f}, {high:+.3f}]."
        for name, gain, low, high in found
        if gain is not None and low is not None and high is not None
    ]


def write(folder: Path, facts: dict[str, Any]) -> None:
    """rewards.json beside the summary."""
    write_text(folder / "rewards.json", json.dumps(facts, indent=1, ensure_ascii=False))
