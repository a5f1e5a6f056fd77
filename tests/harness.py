"""Two small tests, asked by lm-evaluation-harness and by our own evaluation from the same files."""

import json
from pathlib import Path
from typing import Any

from medicalgpt.evaluation.catalog import FoundTest, ItemFolder, known_tests, locate, own_tests, require
from medicalgpt.evaluation.evaluation import ITEMS, evaluate
from medicalgpt.evaluation.progress import read_items_file
from medicalgpt.evaluation.settings import Settings
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest
from tests.wards import WARD

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


Likelihoods = dict[str, list[list[float]]]


def rows(subject: str, count: int, first: int = 0) -> list[dict[str, Any]]:
    """Questions with four answers and the place of the right one."""
    return [
        {
            "question": f"Which part of {subject}, by number {n}, is meant? 第{n}題",
            **{letter: f"the {word} of {n * (i + 1)}" for i, (letter, word) in enumerate(zip(LETTERS, ["beta", "alef"] * 2))},
            "gold": n % 4,
        }
        for n in range(first, first + count)
    ]  # fmt: skip


def write_ward(folder: Path) -> Path:
    """Files of a test with two subjects of seven questions each."""
    for subject in SUBJECTS:
        for name, some in ((subject, rows(subject, 7)), (f"{subject}-dev", rows(subject, 3, 50))):
            lines = [json.dumps(row, ensure_ascii=False) for row in some]
            (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def theirs(folder: Path, lm: Any, shots: int, texts: bool) -> tuple[Likelihoods, dict[str, float]]:
    """Log-likelihoods of every item, and the accuracy, by subject, as the harness finds them with a model of its own kind."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    tasks = folder / "tasks"
    tasks.mkdir(exist_ok=True)
    choices = '"{{[A, B, C, D]}}"' if texts else json.dumps(list(LETTERS))
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
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    found = lm_eval.simple_evaluate(
        model=lm, tasks=list(SUBJECTS), task_manager=manager, log_samples=True, bootstrap_iters=0
    )
    logps = {
        s: [[r[0][0] for r in sample["resps"]] for sample in sorted(found["samples"][s], key=lambda one: one["doc_id"])]
        for s in SUBJECTS
    }
    return logps, {s: found["results"][s]["acc,none"] for s in SUBJECTS}


def ours(folder: Path, model: Path, shots: int, texts: bool) -> Likelihoods:
    """The same by our own evaluation."""
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
