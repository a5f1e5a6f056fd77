"""A pipeline whose gates stand between its stages: a stage that made the model worse is the last one."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_pipeline import plan
from tests.stages import Bench
from tests.wards import WARD
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.evaluation.evaluation import ITEMS
from medicalgpt.evaluation.progress import read_items_file
from medicalgpt.runs.trust_file import read_trust

YAML = (
    WARD
    + """files: [{path: ward.csv}]
answer_is: letter
"""
)


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def write_test(folder: Path, answers: list[str]) -> None:
    lines = ["question,A,B,C,answer"]
    lines += [f"Which of these is number {n}?,one {n},two {n * n},three,{a}" for n, a in enumerate(answers)]
    (folder / "ward.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def tests_folder(bench: Bench, tmp_path: Path) -> Path:
    """A test whose right answers are what the base picks, so that every change is a loss."""
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "ward.test.yaml").write_text(YAML, encoding="utf-8")
    write_test(folder, ["A"] * 60)
    out = tmp_path / "picks"
    words = (
        "evaluate",
        "run",
        "--model",
        str(bench.base),
        "--suite",
        "ward",
        "--tests",
        str(folder),
        "--output",
        str(out),
    )
    assert run(*words).exit_code == 0
    outcomes = read_items_file(out / ITEMS)["ward"]
    write_test(folder, ["ABC"[o.pick("letter")] for o in outcomes])
    return folder


def stages(bench: Bench, rate: float) -> list[dict[str, Any]]:
    """Two stages of fine-tuning, the first one with a learning rate of its own."""
    common = {"data.train": [f"{bench.folder / 'sft'}.jsonl"], "train.max_steps": 4}
    first = {"name": "first", "stage": "sft", "config": "small.yaml", "set": common | {"train.learning_rate": rate}}
    return [first, {"name": "second", "stage": "sft", "config": "small.yaml", "set": common}]


def test_a_stage_that_made_it_worse_is_the_last_one(bench: Bench, tmp_path: Path, tests_folder: Path) -> None:
    evaluate = {"suite": ["hospital"], "tests": str(tests_folder)}
    file = plan(bench, tmp_path, stages=stages(bench, 0.5), evaluate=evaluate)
    done = run("pipeline", "run", str(file))
    assert done.exit_code == 3, done.output
    assert "first is blocked, and no later stage is begun" in done.output
    assert "BLOCK        hospital" in done.output
    runs = tmp_path / "runs"
    assert not (runs / "second").exists()
    (gate,) = json.loads((runs / "gates.json").read_text())["first"]
    assert (gate["verdict"], gate["rows"]) == ("BLOCK", 60)
    assert gate["value"] < -0.2
    # The same command trains nothing again; told to warn only, it goes on.
    manifest = (runs / "first" / "manifest.json").read_bytes()
    assert run("pipeline", "run", str(file)).exit_code == 3
    warned = run("pipeline", "run", str(file), "on_block=warn")
    assert warned.exit_code == 0, warned.output
    assert (runs / "second" / "model").exists()
    assert (runs / "first" / "manifest.json").read_bytes() == manifest
    assert set(json.loads((runs / "gates.json").read_text())) == {"first", "second"}
    # What the file no longer asks for leaves no verdict: a stage that was taken out, then the gates themselves.
    plan(bench, tmp_path, stages=stages(bench, 0.5)[:1], evaluate=evaluate, on_block="warn")
    assert run("pipeline", "run", str(file)).exit_code == 0
    assert set(json.loads((runs / "gates.json").read_text())) == {"first"}
    plan(bench, tmp_path, stages=stages(bench, 0.5)[:1])
    assert run("pipeline", "run", str(file)).exit_code == 0
    assert json.loads((runs / "gates.json").read_text()) == {}


def test_a_stage_that_keeps_its_model_goes_on(bench: Bench, tmp_path: Path, tests_folder: Path) -> None:
    evaluate = {"suite": ["ward"], "tests": str(tests_folder), "generate": True, "max_new_tokens": 3}
    gates = [{"group": "ward", "margin": 20, "against": "previous"}, {"group": "ward", "scoring": "stop", "margin": 20}]
    file = plan(bench, tmp_path, stages=stages(bench, 1e-7)[:1], evaluate=evaluate, gates=gates)
    done = run("pipeline", "run", str(file))
    assert done.exit_code == 0, done.output
    assert "PASS         ward: +0.0 points" in done.output
    assert "PASS         ward stop: +0.0 points" in done.output


def test_mistakes_are_said_before_anything_is_trained(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    file = plan(bench, tmp_path, evaluate={"suite": ["medqa-usmle"], "tests": str(tmp_path / "empty")})
    done = run("pipeline", "run", str(file))
    assert done.exit_code == 2
    assert "medqa/test.jsonl: missing" in done.output
    file = plan(bench, tmp_path, gates=[{"group": "hospital"}])
    assert "gates need `evaluate`" in run("pipeline", "run", str(file)).output
    assert not (tmp_path / "runs").exists()


def test_a_stages_own_numbers_are_gates_and_the_report_tells_them(bench: Bench, tmp_path: Path) -> None:
    """Without any test: a loss that rose stops the chain; what a reward model lacks is said; one page has it all."""
    first, third = stages(bench, 0.5)
    # What the first stage learned is forgotten: the second one begins with the base again and hardly learns.
    unlearned = {
        **third,
        "name": "unlearned",
        "set": {**third["set"], "model.base": "${base}", "train.learning_rate": 1e-7},
    }
    gates: list[dict[str, Any]] = [
        {"number": "certificate"},
        {"number": "answer_loss", "margin": 0.01, "against": "previous"},
        {"number": "reward_accuracy", "at_least": 99},
    ]
    pairs = {"data.train": [f"{bench.folder / 'dpo'}.jsonl"], "data.eval_fraction": 0.3}
    scorer = {"name": "rm", "stage": "rm", "config": "small.yaml", "set": pairs}
    first["set"]["model.base"] = "${base}"
    file = plan(bench, tmp_path, stages=[scorer, first, unlearned, third], gates=gates)
    done = run("pipeline", "run", str(file))
    assert done.exit_code == 3, done.output
    runs = tmp_path / "runs"
    found = json.loads((runs / "gates.json").read_text())
    assert {name: [(one["name"], one["verdict"]) for one in judged] for name, judged in found.items()} == {
        "rm": [("certificate", "PASS"), ("reward_accuracy", "INCONCLUSIVE")],
        "first": [("certificate", "PASS"), ("answer_loss", "PASS")],
        "unlearned": [("certificate", "PASS"), ("answer_loss", "BLOCK")],
    }
    loss = found["unlearned"][1]
    assert 0.01 < loss["low"] < loss["value"] < loss["high"]
    assert not (runs / "second").exists()

    told = run("report", str(runs))
    assert told.exit_code == 0, told.output
    trust = read_trust(runs / "trust.json")
    assert trust is not None
    assert (trust.verdict.word, trust.verdict.blocked, trust.verdict.missing) == ("BLOCK", ["unlearned"], ["second"])
    assert {link.state for link in trust.lineage} == {"same", "unchecked"}
    assert [(one.stage, one.rows) for one in trust.data] == [("rm", 12), ("first", 20), ("unlearned", 20)]
    assert [one.stage for one in trust.reward_models] == ["rm"]
    assert {one.place for one in trust.certificates} == {"merged"}
    assert (runs / "trust.html").stat().st_mode & 0o077 == 0
