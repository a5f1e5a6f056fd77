"""Folders of runs and pipelines as training would leave them, written by hand around a tiny model."""

import shutil
from pathlib import Path
from typing import Any

from medicalgpt.config.loader import dump, load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.sections import ModelConfig
from medicalgpt.data.fingerprint import fingerprint
from medicalgpt.data.ledger import Ledger
from medicalgpt.evaluation.catalog import find_tests
from medicalgpt.evaluation.evaluation import evaluate
from medicalgpt.evaluation.suite import Settings
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest
from medicalgpt.models.locate import Located
from medicalgpt.pipeline.plan import Plan, PlannedStage
from medicalgpt.runs import Manifest, RunFolder, SampleLog, manifest
from medicalgpt.runs.bases import place_hash
from medicalgpt.runs.hashes import hash_tree
from tests.wards import WARD

SHA = "ab" * 32
EVIL = "<script>alert(1)</script><img src=x onerror=\"alert('2')\">"


def ward(folder: Path) -> Path:
    """A folder of tests with one of a ward: 24 questions in two departments, one of which has a hostile name."""
    folder.mkdir(parents=True)
    lines = ["question,A,B,C,answer,ward"]
    names = ("cardiology", "<b>ER</b>")
    lines += [
        f"Which of these is number {n}?,one {n},two,three times {n},{'ABC'[n % 3]},{names[n % 2]}" for n in range(24)
    ]
    (folder / "ward.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = WARD + "files: [{path: ward.csv}]\ncolumns: {subject: ward}\nanswer_is: letter\n"
    (folder / "ward.test.yaml").write_text(text, encoding="utf-8")
    return folder


def run(folder: Path, base: Path, model: Path, data: Path, parent: Path | None = None, **changes: Any) -> Path:
    """A finished run of SFT: config, model, samples, and last the manifest."""
    made = RunFolder(folder)
    folder.mkdir(parents=True)
    words = [f"model.base={base}", f"data.train=[{data}]", f"output_dir={folder}", "lora.enabled=false"]
    made.config.write_text(dump(load(stage_schema("sft"), None, words)), encoding="utf-8")
    shutil.copytree(model, made.model)
    ledger = Ledger()
    ledger.see(str(data), 5)
    ledger.settle(str(data), "kept", rows=4)
    ledger.settle(str(data), "dropped", EVIL)
    log = SampleLog(made.samples)
    for step in (0, 2):
        log.append(step, [{"role": "user", "content": EVIL}], f"{EVIL} {step}", reference="Rest.", stopped=True)
    values: dict[str, Any] = {
        "stage": "sft",
        "base": str(base),
        "config_key": "k",
        "versions": {"torch": "2"},
        "hashes": {
            "data": fingerprint([data]),
            "tokenizer": SHA,
            "base": place_hash(Located(str(base), "model")),
            "code": SHA,
        },
        "seed": 1,
        "device": "cpu",
        "world_size": 1,
        "ledger": ledger.as_dict(),
        "seconds": 1.0,
        "tokens": 1234,
        "before": {"eval/loss": 2.5},
        "after": {"eval/loss": 2.0, "eval/rows": 40.0},
        "files": hash_tree(made.model),
        "parents": [manifest.Parent.of(folder, parent)] if parent else [],
    }
    manifest.write(folder, Manifest(**(values | changes)))
    return folder


def plan(folder: Path, base: Path, names: list[str], **changes: Any) -> None:
    """The plan of a pipeline of SFT stages."""
    stages = tuple(PlannedStage(name=name, stage="sft", answers=True) for name in names)
    values: dict[str, Any] = {
        "base": str(base),
        "stages": stages,
        "suites": ("hospital",),
        "gates": (),
        "on_block": "stop",
        "file_sha256": SHA,
        "command": "medicalgpt pipeline run chain.yaml",
    }
    Plan(**(values | changes)).write(folder)


def take(model: Path, tests: Path, output: Path, names: list[str], limit: int | None = None) -> Path:
    """An evaluation of a model."""
    asked = ModelRequest(ModelConfig(base=str(model)), ModelOptions(), lambda text: None)
    evaluate(asked, find_tests(names, tests), Settings(limit=limit), output, lambda text: None)
    return output
