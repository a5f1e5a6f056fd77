"""Fit the refusal detector on answers labelled by people, and measure it on models that were left out.

usage: fit_refusals.py LABELS [--check]
LABELS: folder of XSTest's labelled answers, `evaluation/automated_evaluation_labels` of
https://github.com/paul-rottger/exaggerated-safety (d7bb5bd): five models, 450 answers each, two annotators. Read in place.
Writes src/medicalgpt/refusals/weights.json; --check only compares, and fails where another comes out.

The answers are under the terms of the models' makers, so nothing of them is copied: what is written are weights of our own
phrases, and of single words and pairs of words that answers to at least 25 different prompts have, from three or more of the
models. No sentence can be put together from them. final_label 3 (partial refusal) counts as refused.
Chinese: weights of phrases only, fitted on the same labels; measured on refusals_zh.jsonl, answers
written for this project: 70 to look at while the phrases were chosen, 40 held out, written afterwards.
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from medicalgpt.refusals.detector import WEIGHTS, Head, RefusalDetector, begins_with, scaled
from medicalgpt.refusals.phrases import features
from medicalgpt.runs.intervals import Estimate, share

PROMPTS, MODELS, C, DIGITS = 25, 3, 0.3, 3
NEEDS = ("apology", "decline", "assistant", "purpose")  # warnings and advice alone refuse nothing
CHINESE = Path(__file__).with_name("refusals_zh.jsonl")
NONE = Estimate(0.0, 0.0, 0.0, 0)


@dataclass(frozen=True)
class Labelled:
    """An answer to a prompt by a model, and whether it refuses."""

    model: str
    prompt: str
    text: str
    refused: bool
    by_strings: bool = False


def labelled(folder: Path) -> list[Labelled]:
    """All answers in order."""
    found = []
    for path in sorted(folder.glob("xstest_v2_completions_*_streval.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                refused, strings = (not row[c].startswith("1_") for c in ("final_label", "strmatch_label"))
                found.append(Labelled(path.stem.split("_")[3], row["id"], row["completion"], refused, strings))
    if not found:
        sys.exit(f"{folder} holds no xstest_v2_completions_*_streval.csv")
    return found


def vocabulary(rows: Sequence[Labelled], grams: Sequence[dict[str, float]]) -> list[str]:
    """Words and pairs that are general: in answers to many prompts by several models."""
    prompts: dict[str, set[str]] = {}
    models: dict[str, set[str]] = {}
    for row, found in zip(rows, grams):
        for name in found:
            prompts.setdefault(name, set()).add(row.prompt)
            models.setdefault(name, set()).add(row.model)
    return sorted(name for name in prompts if len(prompts[name]) >= PROMPTS and len(models[name]) >= MODELS)


def fit(rows: Sequence[Labelled], words: bool) -> Head:
    """Weights from answers; rounded, as they are written."""
    phrases = [features(row.text) for row in rows]
    grams = [begins_with(row.text) if words else {} for row in rows]
    general = vocabulary(rows, grams)
    allowed = set(general)
    known = [scaled({name: 1.0 for name in found if name in allowed}) for found in grams]
    names = sorted({name for found in phrases for name in found})
    place = {name: i for i, name in enumerate(names)} | {f" {n}": len(names) + i for i, n in enumerate(general)}
    table = np.zeros((len(rows), len(place)))
    for line, (first, second) in enumerate(zip(phrases, known)):
        for name, value in [*first.items(), *((f" {n}", v) for n, v in second.items())]:
            table[line, place[name]] = value
    model = LogisticRegression(C=C, max_iter=5000, tol=1e-8).fit(table, [row.refused for row in rows])
    weights = {n: round(float(model.coef_[0, i]), DIGITS) for n, i in place.items()}
    return Head(
        round(float(model.intercept_[0]), DIGITS),
        {n: w for n, w in weights.items() if not n.startswith(" ") and w},
        {n[1:]: w for n, w in weights.items() if n.startswith(" ")},
        NONE,
        "",
    )


def left_out(rows: Sequence[Labelled], words: bool) -> dict[str, list[bool]]:
    """For each model, whether each of its answers is judged as people did, by weights fitted on the other models."""
    found = {}
    for model in sorted({row.model for row in rows}):
        head = fit([row for row in rows if row.model != model], words)
        found[model] = [(head.score(row.text) > 0) == row.refused for row in rows if row.model == model]
    return found


def told(head: Head, agreement: Estimate, on: str, by_model: dict[str, list[bool]]) -> dict[str, object]:
    estimate = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(agreement).items()}
    models = {name: round(float(np.mean(hits)), 4) for name, hits in by_model.items()}
    return {
        "agreement": estimate,
        "on": on,
        "left_out": models,
        "needs": list(head.needs),
        "bias": head.bias,
        "phrases": dict(head.phrases),
        "grams": dict(head.grams),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    rows = labelled(asked.labels)
    print(f"string match: {np.mean([row.by_strings == row.refused for row in rows]):.2%} of {len(rows)}")
    heads = {}
    by_model = left_out(rows, True)
    english = share(sum(map(sum, by_model.values())), len(rows))
    on = "XSTest's 2,250 labelled English answers, each model left out once; partial refusals count as refusals"
    heads["en"] = told(fit(rows, True), english, on, by_model)
    phrases = left_out(rows, False)
    chinese = replace(fit(rows, False), needs=NEEDS)
    detector = RefusalDetector(1, {"en": chinese, "zh": chinese})
    lines = [json.loads(line) for line in CHINESE.read_text(encoding="utf-8").splitlines()]
    written = [row for row in lines if row["part"] == "held out"]
    right = {row["id"]: (detector.score(row["answer"]) > 0) == row["refused"] for row in lines}
    print("zh, not as written:", [f"{row['id']} ({row['part']})" for row in lines if not right[row["id"]]])
    hits = [right[row["id"]] for row in written]
    on = f"{len(written)} Chinese answers written by the project after the phrases were fixed: no independent labels"
    heads["zh"] = told(chinese, share(sum(hits), len(hits)), on, phrases)
    for name, head in heads.items():
        print(name, head["agreement"], "left out:", head["left_out"])
    text = json.dumps({"schema": 1, "version": 1, "heads": heads}, indent=0, ensure_ascii=False) + "\n"
    if asked.check:
        same = WEIGHTS.read_text(encoding="utf-8") == text
        sys.exit(0 if same else f"{WEIGHTS} is another one")
    WEIGHTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
