"""Our evaluation against lm-evaluation-harness on the same files of named tests, in one process: numbers and time.

    python benchmarks/lm_eval_parity.py --tests FOLDER --only medqa-usmle
    python benchmarks/lm_eval_parity.py --tests FOLDER --limit 40

Runs (all, or those behind --only): medqa-usmle, pubmedqa, medmcqa, mmlu-medical-0 and mmlu-medical-5 (worked examples),
cmmlu-medical-5; medqa-usmle-texts and medmcqa-texts (the options' full texts). The harness runs its own task definitions, prompts
and all. Each of `--batch-sizes` is tried on `--trial` items, evenly spread, and the quickest takes the whole test. For every run:
accuracy of both (theirs as the harness says it), picks that differ, largest difference of a log-likelihood, processor seconds.
Of theirs the seconds of likelihoods alone count, of ours all but loading the model.

What is done is kept in `--state`, theirs every `--slice` items, ours every pass: the same command goes on where it was stopped
(seconds go on, too; reading the items again is added to ours), and a run that is finished is printed again. No item's text is
kept. Needs lm-eval (in the extra `dev`).
"""

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from time import process_time
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
# Read when `datasets` is imported: rows of tests stay in no cache.
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="lm-eval-parity-")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness import Theirs, TimedModel, run_harness
from medicalgpt.evaluation.catalog import FoundTest, ItemFolder, known_tests, locate, require
from medicalgpt.evaluation.evaluation import MODEL_FILES, scorer_of
from medicalgpt.evaluation.identity import weights_of
from medicalgpt.evaluation.items import Item, read_items
from medicalgpt.evaluation.outcomes import Outcome
from medicalgpt.evaluation.progress import Progress
from medicalgpt.evaluation.settings import Settings
from medicalgpt.evaluation.suite import Taker, run_test, spread
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest, on_torch
from medicalgpt.kernels.products import quick_products
from medicalgpt.runs.hashes import hash_json

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "medqa-usmle": ("medqa-usmle", {}),
    "pubmedqa": ("pubmedqa", {}),
    "medmcqa": ("medmcqa", {}),
    "mmlu-medical-0": ("mmlu-medical", {"few_shot": 0}),
    "mmlu-medical-5": ("mmlu-medical", {"few_shot": 5}),
    "cmmlu-medical-5": ("cmmlu-medical", {"few_shot": 5}),
    "medqa-usmle-texts": ("medqa-usmle", {"answers": "texts"}),
    "medmcqa-texts": ("medmcqa", {"answers": "texts"}),
}
"""Each run with its test and what of the test's prompt is set for it."""


class Lines:
    """JSON lines of one run, each on the disk at once; those of other settings are not gone on with."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.done = path, list[dict[str, Any]]()
        content = path.read_bytes() if path.is_file() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if not whole:
            path.write_text(json.dumps({"key": key}) + "\n")
            return
        os.truncate(path, len(whole))
        head, *self.done = map(json.loads, whole.splitlines())
        if head["key"] != key:
            raise SystemExit(f"{path} is of another model, other settings or another version; name another --state")

    def add(self, line: dict[str, Any]) -> None:
        """Keep one more."""
        self.done.append(line)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


class TimedProgress(Progress):
    """Our progress, with the processor seconds that each pass and what led to it took."""

    def __init__(self, path: Path, key: str, lines: Lines) -> None:
        super().__init__(path, key)
        self.lines, self.last = lines, process_time()

    def keep(self, test: str, outcomes: Sequence[Outcome]) -> None:
        """Also its time."""
        super().keep(test, outcomes)
        self.tick()

    def tick(self) -> None:
        """Keep the time since the last one."""
        now = process_time()
        self.lines.add({"seconds": now - self.last})
        self.last = now


def theirs(model: TimedModel, found: FoundTest, items: Sequence[Item], lines: Lines, size: int, at_once: int) -> Theirs:
    """The harness's numbers with one batch size, slice by slice; slices that are kept are not run again."""
    model.batch_size_per_gpu = size
    kept = {line["slice"]: Theirs(**line["theirs"]) for line in lines.done}
    parts = []
    for start in range(0, len(items), at_once):
        some = items[start : start + at_once]
        name = f"{size} {hash_json([item.id for item in some])}"
        if name not in kept:
            with tempfile.TemporaryDirectory(dir=os.environ["HF_DATASETS_CACHE"]) as folder:
                kept[name] = run_harness(model, found, some, Path(folder))
            lines.add({"slice": name, "theirs": asdict(kept[name])})
        parts.append(kept[name])
        print(f"  harness, batch {size}: {start + len(some)} of {len(items)}", flush=True)
    logps, right = [x for part in parts for x in part.logps], [x for part in parts for x in part.right]
    return Theirs(logps, right, sum(part.seconds for part in parts))


def best_of_theirs(
    model: TimedModel, found: FoundTest, items: list[Item], lines: Lines, asked: Any
) -> tuple[int, Theirs]:
    """The harness's quickest batch size, and its numbers of all items."""
    some = spread(items, asked.trial)
    trials = {size: theirs(model, found, some, lines, size, len(some)) for size in asked.batch_sizes}
    best = min(trials, key=lambda size: trials[size].seconds)
    return best, trials[best] if len(some) == len(items) else theirs(model, found, items, lines, best, asked.slice)


def ours(taker: Taker, found: FoundTest, settings: Settings, place: Path, key: str) -> tuple[list[Outcome], float]:
    """Outcomes of all items in order, and processor seconds over all starts."""
    lines = Lines(place.with_suffix(".seconds.jsonl"), key)
    progress = TimedProgress(place.with_suffix(".ours.jsonl"), key, lines)
    with quick_products():  # as the command does
        done = run_test(found, taker, settings, progress, lambda text: print(f"  ours: {text}", flush=True))
    progress.tick()
    return done, sum(line["seconds"] for line in lines.done)


def result(
    name: str, found: FoundTest, outcomes: list[Outcome], took: float, best: int, other: Theirs
) -> dict[str, Any]:
    """Both beside each other."""
    scoring = "text" if found.config.prompts["lm-eval"].answers != "letters" else "spaced"
    mine = [list(o.orders[0].logps[scoring]) for o in outcomes]
    gap = max(abs(a - b) for x, y in zip(mine, other.logps, strict=True) for a, b in zip(x, y, strict=True))
    picks = [(x.index(max(x)), y.index(max(y))) for x, y in zip(mine, other.logps)]
    accuracy = [sum(a in o.gold for (a, _), o in zip(picks, outcomes)), sum(other.right)]
    return {
        "run": name,
        "items": len(outcomes),
        "ours": accuracy[0] / len(outcomes),
        "theirs": accuracy[1] / len(outcomes),
        "picks_that_differ": sum(a != b for a, b in picks),
        "largest_gap": gap,
        "our_seconds": round(took, 1),
        "their_seconds": round(other.seconds, 1),
        "batch": best,
    }


def show(r: dict[str, Any]) -> None:
    """One line."""
    equal = "=" if r["ours"] == r["theirs"] else "NOT"
    print(
        f"{r['run']:18} n={r['items']} accuracy {r['ours']:.6f} {equal} {r['theirs']:.6f}, picks that differ "
        f"{r['picks_that_differ']}, largest gap {r['largest_gap']:.1e}; CPU s {r['our_seconds']} against {r['their_seconds']} "
        f"(batch {r['batch']}): {r['their_seconds'] / r['our_seconds']:.2f} x",
        flush=True,
    )


def arguments() -> argparse.Namespace:
    """What was asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS), metavar="NAME")
    options.add_argument("--tests", type=Path, required=True, help="folder below which the tests' files lie")
    options.add_argument("--model", default="smollm2-135m")
    options.add_argument("--state", type=Path, default=Path("runs/lm-eval-parity"), help="where what is done is kept")
    options.add_argument("--limit", type=int, help="so many items of each test, evenly spread")
    options.add_argument("--capacity", type=int, default=4096, help="tokens of one of our passes")
    options.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4, 16])
    options.add_argument("--trial", type=int, default=24, help="items on which batch sizes are tried")
    options.add_argument("--slice", type=int, default=128, help="items of the harness that are kept at a time")
    return options.parse_args()


def main() -> None:
    """Print one line a run."""
    asked = arguments()
    asked.state.mkdir(parents=True, exist_ok=True)
    request = ModelRequest.of(asked.model, ModelOptions(dtype="float32"), lambda text: None)
    opened = on_torch(request)
    settings = Settings("lm-eval", limit=asked.limit, capacity=asked.capacity)
    taker = Taker(scorer_of(opened, settings))
    place = str(opened.origin["places"][0])  # type: ignore[index]
    plain = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)
    model = TimedModel(pretrained=plain, tokenizer=AutoTokenizer.from_pretrained(place), batch_size=1, device="cpu")
    known, folder = known_tests(), ItemFolder(asked.tests)
    same = [
        weights_of(request.config, MODEL_FILES),
        settings.facts(),
        torch.get_num_threads(),
        asked.batch_sizes,
        asked.trial,
    ]
    same += [asked.slice, [version(x) for x in ("lm-eval", "torch", "transformers")]]
    for name in asked.only:
        test, changes = RUNS[name]
        found = require(locate(*known[test], folder), folder)
        prompt = found.config.prompts["lm-eval"].model_copy(update=changes)
        found = replace(found, config=found.config.model_copy(update={"prompts": {"lm-eval": prompt}}))
        key, file = (
            hash_json([same, found.config.model_dump(mode="json", exclude={"on_hub"}), found.hashes]),
            asked.state / name,
        )
        finished = Lines(file.with_suffix(".result.jsonl"), key)
        if not finished.done:
            items = spread(read_items(found.config, found.files), asked.limit)
            other = best_of_theirs(model, found, items, Lines(file.with_suffix(".theirs.jsonl"), key), asked)
            outcomes, took = ours(taker, found, settings, file, key)
            finished.add(result(name, found, outcomes, took, *other))
        show(finished.done[-1])


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(os.environ["HF_DATASETS_CACHE"], ignore_errors=True)
