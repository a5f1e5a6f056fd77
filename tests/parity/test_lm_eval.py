"""Choices and log-likelihoods against lm-evaluation-harness, run offline on the same local files."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.marks import quick_and_slow
from tests.tiny import save_tiny
from tests.wards import WARD
from transformers import AutoModelForCausalLM, AutoTokenizer

from medicalgpt.evaluation.catalog import FoundTest, ItemFolder, known_tests, locate, own_tests, require
from medicalgpt.evaluation.evaluation import ITEMS, evaluate
from medicalgpt.evaluation.progress import read_items_file
from medicalgpt.evaluation.settings import Settings
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest

LETTERS = "ABCD"
SUBJECTS = ("anatomy", "nutrition")
TEMPLATE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {test}, dev: {dev}}}}}
test_split: test
fewshot_split: dev
fewshot_config: {{sampler: first_n}}
num_fewshot: {shots}
output_type: multiple_choice
description: "{description}"
doc_to_text: "{text}"
doc_to_choice: {choices}
doc_to_target: gold
target_delimiter: " "
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""
OPTIONS = "".join(f"{letter}. {{{{{letter}}}}}\\n" for letter in LETTERS)
ASKED = f"Question: {{{{question}}}}\\n{OPTIONS}Answer:"
YAML = (
    WARD
    + """files:
  - {path: anatomy.jsonl, subject: anatomy, examples: anatomy-dev.jsonl}
  - {path: nutrition.jsonl, subject: nutrition, examples: nutrition-dev.jsonl}
answer_is: from_0
columns: {answer: gold}
prompts:
  lm-eval: {text: "Question: {question}\\n{options}Answer:", few_shot: SHOTS, description: "About {subject}.\\n\\n", answers: ANSWERS}
"""
)


def rows(subject: str, count: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "question": f"Which part of {subject}, by number {n}, is meant? 第{n}題",
            **{letter: f"the {word} of {n * (i + 1)}" for i, (letter, word) in enumerate(zip(LETTERS, ["beta", "alef"] * 2))},
            "gold": n % 4,
        }
        for n in range(first, first + count)
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for subject in SUBJECTS:
        for name, some in ((subject, rows(subject, 7)), (f"{subject}-dev", rows(subject, 3, 50))):
            lines = [json.dumps(row, ensure_ascii=False) for row in some]
            (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def theirs(folder: Path, model: Path, shots: int, texts: bool) -> dict[str, list[list[float]]]:
    """Log-likelihoods of every item by subject."""
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    tasks = folder / "tasks"
    tasks.mkdir(exist_ok=True)
    choices = json.dumps(["{{" + x + "}}" for x in LETTERS]) if texts else json.dumps(list(LETTERS))
    if texts:
        choices = '"{{[A, B, C, D]}}"'
    for subject in SUBJECTS:
        text = TEMPLATE.format(
            name=subject,
            test=folder / f"{subject}.jsonl",
            dev=folder / f"{subject}-dev.jsonl",
            shots=shots,
            description=f"About {subject}.\\n\\n",
            text=ASKED,
            choices=choices,
        )
        (tasks / f"{subject}.yaml").write_text(text, encoding="utf-8")
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    lm = HFLM(pretrained=loaded, tokenizer=AutoTokenizer.from_pretrained(model), batch_size=3, device="cpu")
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    found = lm_eval.simple_evaluate(
        model=lm, tasks=list(SUBJECTS), task_manager=manager, log_samples=True, bootstrap_iters=0
    )
    return {
        s: [[r[0][0] for r in sample["resps"]] for sample in sorted(found["samples"][s], key=lambda one: one["doc_id"])]
        for s in SUBJECTS
    }


def ours(folder: Path, model: Path, shots: int, texts: bool) -> dict[str, list[list[float]]]:
    answers = "texts" if texts else "letters"
    (folder / "ward.test.yaml").write_text(
        YAML.replace("SHOTS", str(shots)).replace("ANSWERS", answers), encoding="utf-8"
    )
    place = ItemFolder(folder)
    test: FoundTest = require(locate(*known_tests(own_tests(folder))["ward"], place), place)
    asked = ModelRequest.of(str(model), ModelOptions(dtype="float32"), lambda text: None)
    evaluate(asked, [test], Settings("lm-eval", capacity=300), folder / "out", lambda text: None)
    outcomes = read_items_file(folder / "out" / ITEMS)["ward"]
    scoring = "text" if texts else "spaced"
    return {s: [list(o.orders[0].logps[scoring]) for o in outcomes if o.subject == s] for s in SUBJECTS}


@pytest.mark.parametrize(
    ("kind", "shots", "texts"), quick_and_slow([("gemma3", 2, False)], [("qwen3", 0, False), ("qwen3", 2, True)])
)
def test_every_likelihood_is_that_of_the_harness(
    kind: str, shots: int, texts: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "cache"))
    model = save_tiny(folder / "model", kind)
    a, b = ours(folder, model, shots, texts), theirs(folder, model, shots, texts)
    for subject in SUBJECTS:
        first, second = torch.tensor(a[subject]), torch.tensor(b[subject])
        assert first.shape == second.shape == (7, 4)
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-4)
        assert first.argmax(1).tolist() == second.argmax(1).tolist()
