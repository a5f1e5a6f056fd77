"""Reward model, PPO, ORPO and SFT+DPO on real public preference data; the second half of docs/results.md.

MTS-Dialog: two summaries of one consultation whose human FactualF1 differs; held out by dialogue. PPO's prompts are other
consultations of MTS-Dialog, which nobody graded. SafetyBench (zh): the right against a wrong option; half of the questions
on physical and mental health are held out, the others and three neighboring categories are trained on. The texts lie
outside this project (folder shared/data beside it, or MEDICALGPT_REAL_DATA) and are converted into a work folder.
usage: real_preferences.py WORK [--only sft,dpo,orpo,rm,safety,ppo] [--updates 15] [--ppo-seed 42]
                           [--safety-base gemma3-270m]
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.pipeline import CompareConfig
from medicalgpt.config.sections import ModelConfig
from medicalgpt.evaluation.compare import score
from medicalgpt.export.merge import merge_run
from medicalgpt.models.embedded.registry import cache_root
from medicalgpt.models.load import load as load_model
from medicalgpt.pipeline.table import show
from medicalgpt.runs.reward_report import lines, read_report
from medicalgpt.training.stage import run_stage
from real_data import ASK, REAL, pairs, split

HEALTH = ("Physical Health", "Mental Health")
NEIGHBORS = ("Ethics and Morality", "Illegal Activities", "Privacy and Property")  # also ask what it is right to do
WORDS = range(30, 121)  # of a consultation: long enough to summarize, short enough to sample many


def summaries() -> list[dict[str, Any]]:
    """The best-graded summary of every consultation: what SFT learns."""
    best: dict[str, dict[str, Any]] = {}
    for row in pairs():  # sorted from the best grade down within a dialogue
        best.setdefault(row["prompt"], {"question": row["prompt"], "answer": row["chosen"]})
    return list(best.values())


def consultations() -> list[dict[str, Any]]:
    """Consultations without graded summaries; the doctor's note is what the answer loss is measured on."""
    file = REAL / "abachaa+MTS-Dialog/Main-Dataset/MTS-Dialog-TrainingSet.csv"
    graded = {row["prompt"] for row in pairs()}
    rows = []
    for row in csv.DictReader(file.open(encoding="utf-8-sig", newline="")):
        question, note = ASK + row["dialogue"].strip(), row["section_text"].strip()
        if len(row["dialogue"].split()) in WORDS and len(note.split()) >= 5 and question not in graded:
            rows.append({"question": question, "answer": note})
    return rows


def safety_pairs(categories: tuple[str, ...]) -> list[dict[str, Any]]:
    """SafetyBench's questions of some categories: the right option against one wrong one."""
    folder = REAL / "thu-coai+SafetyBench/opensource_data"
    questions = json.loads((folder / "test_zh_subset.json").read_text(encoding="utf-8"))
    answers = json.loads((folder / "test_answers_zh_subset.json").read_text(encoding="utf-8"))
    rows = []
    for question in questions:
        if question["category"] not in categories:
            continue
        right = answers[str(question["id"])]["answer"]
        wrong = next(i for i in range(len(question["options"])) if i != right)
        chosen, rejected = question["options"][right], question["options"][wrong]
        if chosen != rejected:
            rows.append({"prompt": question["question"], "chosen": chosen, "rejected": rejected})
    return rows


def stage(work: Path, name: str, kind: str, data: str, *more: str) -> Path:
    """Train one stage on WORK/DATA, merge it, and return the place of its model."""
    words = [
        f"data.train=[{work}/{data}/train.jsonl]",
        f"data.eval=[{work}/{data}/held-out.jsonl]",
        "data.max_tokens=768",
        "train.row_tokens=2048",
        f"output_dir={work}/runs/{name}",
        *more,
    ]
    outcome = run_stage(load(stage_schema(kind), None, words))
    merge_run(outcome.folder, Console())
    return outcome.folder


def train_all(work: Path, wanted: set[str], updates: int, seed: int, safety_base: str) -> None:
    """The stages asked for; each needs those it starts from; `seed` is PPO's."""
    steps = ("train.tokens_per_step=4096", "train.sample_count=0")
    sft, rm = work / "runs/sft/merged", work / "runs/rm"
    if "sft" in wanted:
        stage(work, "sft", "sft", "summaries", "train.epochs=2", "train.learning_rate=5e-4", *steps)
    if "dpo" in wanted:
        stage(work, "dpo", "dpo", "mts", f"model.base={sft}", "train.epochs=1", "train.learning_rate=1e-4", *steps)
    if "orpo" in wanted:
        stage(work, "orpo", "orpo", "mts", "train.epochs=1", "train.learning_rate=5e-4", *steps)
    if "rm" in wanted:
        rate = "train.learning_rate=2e-4"
        stage(work, "rm", "rm", "mts", f"model.base={sft}", rate, "train.epochs=1", "objective.center=0.01", *steps)
    if "safety" in wanted:
        few = ("train.learning_rate=2e-4", "train.max_steps=100", "train.tokens_per_step=2048", "train.sample_count=0")
        stage(work, "safety", "rm", "safety", f"model.base={safety_base}", *few)
    if "ppo" in wanted:
        rollout = ("rollout.prompts=8", "rollout.completions=2", "rollout.max_new_tokens=96")
        learn = ("train.learning_rate=3e-4", "objective.critic_learning_rate=5e-4", f"train.max_steps={updates}")
        models = (f"model.base={sft}", f"reward.model={rm}", "reward.missing_stop_score=-1")
        rows = ("data.over_length=drop", "train.eval_prompts=64", f"train.seed={seed}")
        stage(work, "ppo", "ppo", "consultations", *models, *rows, *rollout, *learn)


def report(work: Path) -> None:
    """What came out, as Markdown."""
    for name in ("rm", "safety"):
        found = read_report(work / "runs" / name / "model") if (work / "runs" / name).is_dir() else None
        if found is not None:
            print(f"\n## {name}\n", *lines(found), sep="\n")
    models = {"base": "smollm2-135m"} | {
        name: str(work / "runs" / name / "merged")
        for name in ("sft", "dpo", "orpo", "ppo")
        if (work / "runs" / name / "merged").is_dir()
    }
    config = CompareConfig(
        dialogues=[f"{work}/summaries/held-out.jsonl"], preferences=[f"{work}/mts/held-out.jsonl"], max_tokens=768
    )
    table = {
        name: score(load_model(ModelConfig(base=place)), config, cache_root()).numbers for name, place in models.items()
    }
    print("\n| | " + " | ".join(table) + " |\n" + "|---" * (len(table) + 1) + "|")
    for label in next(iter(table.values())):
        cells = [show(label, vars(numbers[label])) for numbers in table.values()]
        print(f"| {label} | " + " | ".join(cells) + " |")
    ppo = work / "runs/ppo/metrics.jsonl"
    for line in ppo.read_text(encoding="utf-8").splitlines() if ppo.is_file() else ():
        found_line = {k: v for k, v in json.loads(line).items() if k == "step" or k.startswith("eval/")}
        if len(found_line) > 1:
            print(found_line)


def main() -> None:
    """Convert, train, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", default="sft,dpo,orpo,rm,safety,ppo")
    parser.add_argument("--updates", type=int, default=15)
    parser.add_argument("--ppo-seed", type=int, default=42)
    parser.add_argument("--safety-base", default="smollm2-135m")
    a = parser.parse_args()
    split(a.work, "summaries", "dialogue", summaries(), 0.2)
    split(a.work, "mts", "preference", pairs(), 0.2)
    split(a.work, "consultations", "dialogue", consultations(), 0.12)
    split(a.work, "safety", "preference", safety_pairs(HEALTH), 0.5, safety_pairs(NEIGHBORS))
    train_all(a.work, set(a.only.split(",")), a.updates, a.ppo_seed, a.safety_base)
    report(a.work)


if __name__ == "__main__":
    main()
