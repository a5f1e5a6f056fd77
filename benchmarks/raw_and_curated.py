"""What curation does to a model: SFT on raw rows and on the same rows curated, at equal tokens; the table of docs/curation.md.

Public consultations (Toyhom, Chinese), answers of public bodies (MedQuAD, English) and notes of visits (MTS-Dialog, English) are
split by question. What is trained on goes through `curate` (surrogates, duplicates, items of the tests) and trains one model, and
as it is another. Both, and the base, are measured on held-out rows as they are and after the same curation. The texts lie outside
this project (real_data.py says where) and are converted into WORK.
usage: raw_and_curated.py WORK [--base gemma3-270m] [--steps 60] [--rows 100]
"""

import argparse
import csv
import gc
import json
from pathlib import Path
from typing import Final

import numpy as np

from medicalgpt import curate, train
from medicalgpt.config.pipeline import CompareConfig
from medicalgpt.config.sections import ModelConfig
from medicalgpt.disk.cache import cache_root
from medicalgpt.evaluation.compare import score
from medicalgpt.models.load import load
from medicalgpt.runs.intervals import Estimate, ratio
from real_data import ASK, REAL, questions, split

SHARE: Final = {"toyhom": 0.03, "medquad": 0.1, "mts": 0.1}
MAX_TOKENS: Final = 768


def consultations() -> list[dict]:
    """Toyhom's questions and answers, as they are."""
    path = next(REAL.glob("Toyhom*/*.csv"))
    with path.open(encoding="gb18030", newline="") as file:
        return [{"question": row["ask"], "answer": row["answer"]} for row in csv.DictReader(file)]


def visits() -> list[dict]:
    """MTS-Dialog: a conversation and the section of the note that it led to."""
    path = REAL / "abachaa+MTS-Dialog/Main-Dataset/MTS-Dialog-TrainingSet.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{"question": ASK + row["dialogue"].strip(), "answer": row["section_text"].strip()} for row in rows]


def curated(work: Path, side: str) -> Path:
    """The corpus that curation makes of one side of the split."""
    key = work / "key"
    key.write_bytes(b"of no one, for this benchmark alone")
    keys: dict[str, object] = {
        "personal_data.operator": "surrogate",
        "personal_data.key_file": str(key),
        "contamination.tests": ["medical-zh", "medical-en"],
        "contamination.folder": str(REAL),
        "held_out.fraction": 0,
    }
    sources = {name: {"paths": [str(work / name / f"{side}.jsonl")]} for name in SHARE}
    folder = work / f"corpus-{side}"
    curate(sources, output_dir=folder, overrides=keys, say=lambda text: print("  " + text, flush=True))
    return folder / "train" / "dialogue"


def measured(model: str, adapter: str | None, sets: dict[str, Path], rows: int) -> dict[str, np.ndarray]:
    """Σ of the answers' losses and number of tokens [rows, 2] of the first rows of each held-out set."""
    loaded = load(ModelConfig(base=model, adapter=adapter))
    out = {}
    for name, path in sets.items():
        config = CompareConfig(dialogues=[str(path)], max_tokens=MAX_TOKENS, stop_prompts=0, rows=rows)
        out[name] = score(loaded, config, cache_root()).losses["answer_loss"]
    del loaded
    gc.collect()
    return out


def said(number: Estimate) -> str:
    """A number with its interval."""
    return f"{number.value:.4f} [{number.low:.4f}, {number.high:.4f}]"


def show(losses: dict[str, dict[str, np.ndarray]], sets: dict[str, Path]) -> None:
    """Nats per token of each model and set, and curated - raw row by row, with 95 % intervals."""
    for name in sets:
        cells = []
        for model in losses:
            one = losses[model][name]
            cells.append(f"{model} {said(ratio(one[:, 0], one[:, 1]))}")
        raw, clean = losses["raw"][name], losses["curated"][name]
        print(
            f"{name} ({len(raw)} rows): {'; '.join(cells)}; curated - raw {said(ratio(clean[:, 0] - raw[:, 0], raw[:, 1]))}"
        )


def main() -> None:
    """Split, curate, train twice, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--base", default="gemma3-270m")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rows", type=int, default=100)
    args = parser.parse_args()
    work: Path = args.work
    for name, rows in {"toyhom": consultations(), "medquad": questions(), "mts": visits()}.items():
        split(work, name, "dialogue", rows, SHARE[name])
    data = {
        "raw": [str(work / name / "train.jsonl") for name in SHARE],
        "curated": [str(curated(work, "train"))],
    }
    sets = {f"{name}, as it is": work / name / "held-out.jsonl" for name in SHARE}
    sets["all, curated"] = curated(work, "held-out")
    settings = {"max_steps": args.steps, "learning_rate": 5.0e-4, "tokens_per_step": 2048, "row_tokens": 2048}
    losses = {"base": measured(args.base, None, sets, args.rows)}
    for name, paths in data.items():
        run = work / f"sft-{name}"
        keys = {"train": paths, "max_tokens": MAX_TOKENS, "eval_fraction": 0}
        train("sft", model=args.base, data=keys, train={**settings, "sample_count": 0}, output_dir=run)
        losses[name] = measured(args.base, str(run / "model"), sets, args.rows)
    show(losses, sets)
    for name in data:
        facts = json.loads((work / f"sft-{name}" / "manifest.json").read_text(encoding="utf-8"))
        print(f"{name}: {facts['tokens']}")


if __name__ == "__main__":
    main()
