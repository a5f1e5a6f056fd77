"""Our evaluation against lm-evaluation-harness on the same files of named tests, in one process: numbers and time.

    python benchmarks/lm_eval_parity.py --tests FOLDER --model smollm2-135m --limit 40 medqa-usmle pubmedqa mmlu-medical

The harness runs its own task definitions (prompts and all), told to read local files, at each batch size given; the best one
counts. For every test: accuracy of both, largest difference of a log-likelihood, picks that differ, CPU seconds, their ratio.
Model loading is not counted. Needs lm-eval (in the extra `dev`).
"""

import argparse
import json
import os
import resource
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from medicalgpt.evaluation.catalog import FoundTest, ItemFolder, known_tests, locate, require
from medicalgpt.evaluation.choices import ChoiceScorer
from medicalgpt.evaluation.evaluation import scorer_of
from medicalgpt.evaluation.items import Item, read_examples, read_items
from medicalgpt.evaluation.outcomes import Outcome
from medicalgpt.evaluation.progress import Progress
from medicalgpt.evaluation.suite import Settings, run_test, spread
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest, on_torch

LETTERS = "ABCD"


def _medqa(item: Item) -> dict[str, Any]:
    return {"sent1": item.question, **{f"ending{i}": t for i, t in enumerate(item.options)}, "label": item.gold[0]}


def _medmcqa(item: Item) -> dict[str, Any]:
    return {"question": item.question, **{f"op{x}": t for x, t in zip("abcd", item.options)}, "cop": item.gold[0]}


def _pubmedqa(item: Item) -> dict[str, Any]:
    context, question = item.asked
    return {"CONTEXTS": context.split("\n"), "QUESTION": question, "final_decision": item.options[item.gold[0]]}


def _mmlu(item: Item) -> dict[str, Any]:
    return {"question": item.question, "choices": list(item.options), "answer": item.gold[0]}


def _cmmlu(item: Item) -> dict[str, Any]:
    return {"Question": item.question, **dict(zip(LETTERS, item.options)), "Answer": LETTERS[item.gold[0]]}


# Each test with the harness's own file (SUBJECT in it), and its rows as that file expects them.
TASKS: dict[str, tuple[str, Callable[[Item], dict[str, Any]]]] = {
    "medqa-usmle": ("medqa/medqa.yaml", _medqa),
    "medmcqa": ("medmcqa/medmcqa.yaml", _medmcqa),
    "pubmedqa": ("pubmedqa/pubmedqa.yaml", _pubmedqa),
    "mmlu-medical": ("mmlu/default/mmlu_SUBJECT.yaml", _mmlu),
    "cmmlu-medical": ("cmmlu/cmmlu_SUBJECT.yaml", _cmmlu),
}


def cpu_seconds() -> float:
    """Processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def parts_of(found: FoundTest, items: Sequence[Item]) -> list[tuple[str, str, list[Item], list[Item]]]:
    """Name of the harness's file, subject, items and worked examples, for each file of a test."""
    file, _ = TASKS[found.config.name]
    prompt = found.config.prompts["lm-eval"]
    parts = []
    for entry in found.config.files:
        mine = [i for i in items if i.subject == (entry.subject or "")] if entry.subject else list(items)
        stem = Path(entry.path).stem.removesuffix("_test")
        shots = (
            read_examples(found.config, found.files[entry.examples], entry.subject, prompt.few_shot)
            if entry.examples and prompt.few_shot
            else []
        )
        if mine:
            parts.append((file.replace("SUBJECT", stem), stem, mine, shots))
    return parts


def write_tasks(found: FoundTest, items: Sequence[Item], folder: Path) -> list[str]:
    """Task files that include the harness's own and read local rows; their names in order."""
    spec = find_spec("lm_eval")
    assert spec is not None
    assert spec.origin is not None
    root, names = Path(spec.origin).parent / "tasks", []
    _, row = TASKS[found.config.name]
    for file, subject, mine, shots in parts_of(found, items):
        name = f"local_{found.config.name}_{subject}".replace("-", "_")
        paths = {"test": folder / f"{name}.jsonl"} | ({"dev": folder / f"{name}-dev.jsonl"} if shots else {})
        for split, some in (("test", mine), ("dev", shots)):
            if some:
                paths[split].write_text("".join(json.dumps(row(i), ensure_ascii=False) + "\n" for i in some))
        lines = [
            f"include: {root / file}",
            f"task: {name}",
            "dataset_path: json",
            "dataset_name: null",
            "test_split: test",
        ]
        lines += [f"dataset_kwargs: {{data_files: {json.dumps({k: str(v) for k, v in paths.items()})}}}"]
        lines += ["training_split: null", "validation_split: null", f"num_fewshot: {len(shots)}"]
        (folder / f"{name}.yaml").write_text("\n".join(lines) + "\n")
        names.append(name)
    return names


def theirs(lm: Any, names: Sequence[str], folder: Path) -> tuple[list[list[float]], float]:
    """Log-likelihoods of all items in order, and CPU seconds."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    before = cpu_seconds()
    found = lm_eval.simple_evaluate(
        model=lm, tasks=list(names), task_manager=manager, log_samples=True, bootstrap_iters=0
    )
    took = cpu_seconds() - before
    ordered = [sorted(found["samples"][name], key=lambda one: one["doc_id"]) for name in names]
    return [[r[0][0] for r in sample["resps"]] for samples in ordered for sample in samples], took


def ours(scorer: ChoiceScorer, found: FoundTest, settings: Settings, folder: Path) -> tuple[list[Outcome], float]:
    """Outcomes of all items in order, and CPU seconds."""
    progress = Progress(folder / "progress.jsonl", str(settings))
    before = cpu_seconds()
    done = run_test(found, scorer, settings, progress, lambda text: None)
    took = cpu_seconds() - before
    progress.remove()
    return done, took


def main() -> None:
    """Print one line a test."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("names", nargs="+", choices=TASKS)
    options.add_argument("--tests", type=Path, required=True)
    options.add_argument("--model", default="smollm2-135m")
    options.add_argument("--limit", type=int)
    options.add_argument("--capacity", type=int, default=4096)
    options.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4, 16])
    asked = options.parse_args()
    from lm_eval.models.huggingface import HFLM

    request = ModelRequest.of(asked.model, ModelOptions(dtype="float32"), lambda text: None)
    opened = on_torch(request)
    settings = Settings("lm-eval", limit=asked.limit, capacity=asked.capacity)
    scorer = scorer_of(opened, settings)
    place = str(opened.origin["places"][0])  # type: ignore[index]
    plain = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(place)
    known, folder = known_tests(), ItemFolder(asked.tests)
    for name in asked.names:
        found = require(locate(*known[name], folder), folder)
        items = spread(read_items(found.config, found.files), asked.limit)
        with tempfile.TemporaryDirectory() as temporary:
            os.environ["HF_DATASETS_CACHE"] = temporary
            tasks = write_tasks(found, items, Path(temporary))
            times: dict[int, float] = {}
            for size in asked.batch_sizes:
                lm = HFLM(pretrained=plain, tokenizer=tokenizer, batch_size=size, device="cpu")
                expected, times[size] = theirs(lm, tasks, Path(temporary))
            outcomes, took = ours(scorer, found, settings, Path(temporary))
        scoring = "text" if found.config.prompts["lm-eval"].answers != "letters" else "spaced"
        mine = [list(o.orders[0].logps[scoring]) for o in outcomes]
        gap = max(abs(a - b) for x, y in zip(mine, expected, strict=True) for a, b in zip(x, y, strict=True))
        picks = [(x.index(max(x)), y.index(max(y))) for x, y in zip(mine, expected)]
        right = [sum(p in o.gold for p, o in zip(column, outcomes)) / len(outcomes) for column in zip(*picks)]
        best = min(times, key=times.__getitem__)
        print(
            f"{name:14} n={len(items)} accuracy {right[0]:.6f} = {right[1]:.6f}, picks that differ "
            f"{sum(a != b for a, b in picks)}, largest gap {gap:.1e}; CPU s {took:.1f} against {times[best]:.1f} "
            f"(batch {best}): {times[best] / took:.2f} x",
            flush=True,
        )


if __name__ == "__main__":
    main()
