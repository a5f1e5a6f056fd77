"""PT, SFT and DPO on real public medical text, held out by chapter, question and dialogue; the table of docs/results.md.

The texts lie outside this project (folder shared/data beside it, or MEDICALGPT_REAL_DATA); they are converted into a
work folder and never copied into the project.
usage: real_data.py WORK [--steps PT SFT DPO]
"""

import argparse
import csv
import json
import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.split import choose_eval, group_key
from medicalgpt.pipeline.run import run_pipeline

REAL = Path(os.environ.get("MEDICALGPT_REAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
GAP = 0.1  # of the human FactualF1 grades, below which a pair says little
ASK = "Summarize this consultation for the record.\n\n"


def write(path: Path, rows: list[dict]) -> None:
    """One JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")


def chapters() -> list[dict]:
    """The anatomy textbook, one document a chapter."""
    return [{"text": p.read_text(encoding="utf-8")} for p in sorted(REAL.glob("philschatz+anatomy-book/contents/*.md"))]


def questions() -> list[dict]:
    """MedQuAD's NINDS and CDC answers."""
    rows = []
    for path in sorted(REAL.glob("abachaa+MedQuAD/[69]_*/*.xml")):
        for pair in ET.parse(path).iter("QAPair"):
            question, answer = (pair.findtext("Question") or "").strip(), (pair.findtext("Answer") or "").strip()
            if question and answer:
                rows.append({"question": question, "answer": " ".join(answer.split())})
    return rows


def pairs() -> list[dict]:
    """MTS-Dialog: two summaries of one dialogue whose human FactualF1 differs by at least GAP."""
    folder = REAL / "abachaa+MTS-Dialog/Correlation-Study"
    texts, grades = (
        list(csv.DictReader(next(folder.glob(g)).open(encoding="utf-8-sig", newline="")))
        for g in ("*Automatic*", "*Manual*")
    )
    graded: dict[str, list[tuple[float, str]]] = {}
    for text, grade in zip(texts, grades):
        graded.setdefault(text["Dialogue"], []).append((float(grade["FactualF1"]), text["Automatic Summary"].strip()))
    rows = []
    for dialogue, summaries in graded.items():
        summaries.sort(reverse=True)
        prompt = ASK + dialogue.strip()
        for i, (high, chosen) in enumerate(summaries):
            for low, rejected in summaries[i + 1 :]:
                if high - low >= GAP and chosen and rejected and chosen != rejected:
                    rows.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    return rows


def split(work: Path, name: str, kind: str, rows: list[dict], share: float, more: Sequence[dict] = ()) -> None:
    """Write rows to NAME/train.jsonl and NAME/held-out.jsonl, never the same question on both sides.

    A share of `rows` is held out; `more` is only trained on.
    """
    both = [*rows, *more]
    write(work / name / "all.jsonl", both)
    keys = [group_key(r) for r in read([work / name / "all.jsonl"], kind, ledger=Ledger())]  # type: ignore[arg-type]
    (work / name / "all.jsonl").unlink()
    held = choose_eval(keys[: len(rows)], share, seed=0)
    train = [row for row, key in zip(both, keys) if key not in held]
    held_out = [row for row, key in zip(rows, keys) if key in held]
    write(work / name / "train.jsonl", train)
    write(work / name / "held-out.jsonl", held_out)
    print(f"{name}: {len(train)} rows to train on, {len(held_out)} held out", flush=True)


def pipeline_file(work: Path, steps: list[int]) -> Path:
    """The pipeline of the three stages over the work folder."""

    def stage(name: str, kind: str, count: int, rate: float, tokens: int) -> dict:
        data = {
            "data.train": [f"{work}/{name}/train.jsonl"],
            "data.eval": [f"{work}/{name}/held-out.jsonl"],
            "data.max_tokens": 768,
        }
        train = {
            "train.max_steps": count,
            "train.learning_rate": rate,
            "train.tokens_per_step": tokens,
            "train.row_tokens": 2048,
        }
        return {"name": kind, "stage": kind, "set": {**data, **train, "train.sample_count": 0}}

    content = {
        "output_dir": f"{work}/runs",
        "stages": [
            stage("anatomy", "pt", steps[0], 5e-4, 2048),
            stage("medquad", "sft", steps[1], 5e-4, 2048),
            stage("mts", "dpo", steps[2], 1e-4, 4096),
        ],
        "compare": {
            "documents": [f"{work}/anatomy/held-out.jsonl"],
            "dialogues": [f"{work}/medquad/held-out.jsonl"],
            "preferences": [f"{work}/mts/held-out.jsonl"],
            "max_tokens": 768,
            "rows": 40,
            "stop_prompts": 12,
            "stop_tokens": 256,
        },
    }
    path = work / "pipeline.json"  # YAML is a superset of JSON
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def main() -> None:
    """Convert, train, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, nargs=3, default=[40, 40, 24])
    a = parser.parse_args()
    split(a.work, "anatomy", "document", chapters(), 0.1)
    split(a.work, "medquad", "dialogue", questions(), 0.05)
    split(a.work, "mts", "preference", pairs(), 0.2)
    print(run_pipeline(str(pipeline_file(a.work, a.steps))).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
