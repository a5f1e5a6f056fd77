"""lm-evaluation-harness on local files: its own task definitions, told to read the items of a named test that lie here."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import process_time
from typing import Any

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from medicalgpt.evaluation.catalog import FoundTest
from medicalgpt.evaluation.items import Item, read_examples

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


@dataclass(frozen=True)
class Task:
    """The harness's own file (SUBJECT in it), an item as a row of that file's data, and its options' texts in a template."""

    file: str
    row: Callable[[Item], dict[str, Any]]
    texts: str = ""


TASKS = {
    "medqa-usmle": Task("medqa/medqa.yaml", _medqa, "{{[ending0, ending1, ending2, ending3]}}"),
    "medmcqa": Task("medmcqa/medmcqa.yaml", _medmcqa, "{{[opa, opb, opc, opd]}}"),
    "pubmedqa": Task("pubmedqa/pubmedqa.yaml", _pubmedqa),
    "mmlu-medical": Task("mmlu/default/mmlu_SUBJECT.yaml", _mmlu),
    "cmmlu-medical": Task("cmmlu/cmmlu_SUBJECT.yaml", _cmmlu),
}


@dataclass(frozen=True)
class Theirs:
    """What the harness made of some items in order: log-likelihoods of the options, its own `acc`, processor seconds."""

    logps: list[list[float]]
    right: list[float]
    seconds: float


class TimedModel(HFLM):
    """The harness's model; `spent` is the processor time of its likelihoods alone, without data sets and prompts."""

    spent = 0.0

    def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
        """As the harness has it."""
        before = process_time()
        try:
            return super().loglikelihood(requests, disable_tqdm=True)
        finally:
            self.spent += process_time() - before


def run_harness(model: TimedModel, found: FoundTest, items: Sequence[Item], folder: Path) -> Theirs:
    """The harness's numbers of items that stand in the order of the test's files; `folder` gets its tasks and rows."""
    names = _write_tasks(found, items, folder)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    before = model.spent
    done = lm_eval.simple_evaluate(model=model, tasks=names, task_manager=manager, log_samples=True, bootstrap_iters=0)
    samples = [s for name in names for s in sorted(done["samples"][name], key=lambda one: int(one["doc_id"]))]
    assert len(samples) == len(items)
    logps = [[float(r[0][0]) for r in sample["resps"]] for sample in samples]
    return Theirs(logps, [float(sample["acc"]) for sample in samples], model.spent - before)


def _write_tasks(found: FoundTest, items: Sequence[Item], folder: Path) -> list[str]:
    """Task files that include the harness's own and read local rows; their names in order."""
    spec = find_spec("lm_eval")
    assert spec is not None
    assert spec.origin is not None
    root, task = Path(spec.origin).parent / "tasks", TASKS[found.config.name]
    prompt, names = found.config.prompts["lm-eval"], []
    for entry in found.config.files:
        mine = [i for i in items if i.subject == entry.subject] if entry.subject else list(items)
        if not mine:
            continue
        shots = (
            read_examples(found.config, found.files[entry.examples], entry.subject, prompt.few_shot)
            if entry.examples and prompt.few_shot
            else []
        )
        subject = Path(entry.path).stem.removesuffix("_test")
        name = f"local_{found.config.name}_{subject}".replace("-", "_")
        paths = {}
        for split, some in (("test", mine), ("dev", shots)):
            if some:
                paths[split] = str(folder / f"{name}-{split}.jsonl")
                Path(paths[split]).write_text("".join(json.dumps(task.row(i)) + "\n" for i in some))
        lines = [f"include: {root / task.file.replace('SUBJECT', subject)}", f"task: {name}", "dataset_path: json"]
        lines += ["dataset_name: null", "test_split: test", "training_split: null", "validation_split: null"]
        lines += [] if shots else ["fewshot_split: null"]
        lines += [f"dataset_kwargs: {{data_files: {json.dumps(paths)}}}", f"num_fewshot: {len(shots)}"]
        lines += [f'doc_to_choice: "{task.texts}"'] if prompt.answers == "texts" else []
        (folder / f"{name}.yaml").write_text("\n".join(lines) + "\n")
        names.append(name)
    return names
