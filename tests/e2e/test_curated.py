"""From raw files over a corpus to a model: its lineage reaches the files, and its scores are told without the items it has seen."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.stages import SMALL, Bench, dialogues, manifest, write
from tests.wards import WARD
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.errors import RunError
from medicalgpt.runs.corpus import corpora_of, corpus_of
from medicalgpt.runs.hashes import hash_file

YAML = WARD + "files: [{path: ward.csv}]\ncolumns: {subject: ward}\nanswer_is: letter\n"


def question(number: int) -> str:
    """A question like no other."""
    return "".join(random.Random(number).choice("abcdefghijklmnop ") for _ in range(60)) + "?"


ITEM = f"{question(3)}\nA. one 3\nB. two\nC. three times 3"


@pytest.fixture(scope="module")
def done(_bench: Bench, _cache: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A finished pipeline of a corpus and SFT on it, and what it printed."""
    folder = tmp_path_factory.mktemp("curated")
    tests = folder / "tests"
    tests.mkdir()
    lines = [f"{question(n)},one {n},two,three times {n},{'ABC'[n % 3]},a" for n in range(24)]
    (tests / "ward.csv").write_text("\n".join(["question,A,B,C,answer,ward", *lines]) + "\n", encoding="utf-8")
    (tests / "ward.test.yaml").write_text(YAML, encoding="utf-8")
    item = {"messages": [{"role": "user", "content": ITEM}, {"role": "assistant", "content": "The answer is A."}]}
    raw = write(folder / "raw.jsonl", [*dialogues(30), item])
    corpus = {
        "sources": {"wards": {"paths": [str(raw)]}},
        "personal_data": {"detectors": ["patterns"]},
        "duplicates": {"near": False},
        "held_out": {"fraction": 0.1},
        "contamination": {"tests": ["ward"], "folder": str(tests), "action": "report"},
    }
    (folder / "corpus.yaml").write_text(yaml.safe_dump(corpus), encoding="utf-8")
    sections: dict[str, dict[str, Any]] = {}
    for word in SMALL:
        key, _, value = word.partition("=")
        sections.setdefault(key.partition(".")[0], {})[key.partition(".")[2]] = yaml.safe_load(value)
    (folder / "small.yaml").write_text(yaml.safe_dump(sections), encoding="utf-8")
    data = {"data.train": "${corpus}", "data.eval": "${corpus.held_out}", "train.max_steps": 1, "train.sample_count": 0}
    content = {
        "output_dir": str(folder / "runs"),
        "base": str(_bench.base),
        "stages": [
            {"name": "corpus", "stage": "curate", "config": "corpus.yaml", "set": {"scale.workers": 1}},
            {"name": "sft", "stage": "sft", "config": "small.yaml", "set": data},
        ],
    }
    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDICALGPT_CACHE", _cache)
        ran = CliRunner().invoke(app, ["pipeline", "run", str(file)])
        assert ran.exit_code == 0, ran.output
        yield folder, ran.output


def test_the_models_lineage_reaches_the_raw_files(done: tuple[Path, str]) -> None:
    runs = done[0] / "runs"
    trained, made = manifest(runs / "sft"), manifest(runs / "corpus")
    assert trained["parents"] == [{"path": "../corpus", "sha256": hash_file(runs / "corpus" / "manifest.json")}]
    assert made["ledger"]["files"] == {str(done[0] / "raw.jsonl"): {"rows": 31, "kept": 31}}
    assert made["ledger"]["reasons"] == {"kept: held out": 3}
    assert trained["ledger"]["rows"] == 28 + 3
    assert corpora_of(runs / "sft") == [(runs / "corpus").resolve()]


def test_the_same_again_makes_nothing_twice(done: tuple[Path, str]) -> None:
    before = {file: file.stat().st_mtime_ns for file in (done[0] / "runs").glob("*/manifest.json")}
    ran = CliRunner().invoke(app, ["pipeline", "run", str(done[0] / "pipeline.yaml")])
    assert ran.exit_code == 0, ran.output
    assert {file: file.stat().st_mtime_ns for file in before} == before


@pytest.mark.parametrize(("model", "looked"), [("runs/sft/merged", True), ("runs/sft", True), ("base", False)])
def test_a_score_stands_beside_that_of_the_clean_subset(
    model: str, looked: bool, done: tuple[Path, str], bench: Bench, tmp_path: Path
) -> None:
    place = bench.base if model == "base" else done[0] / model
    words = ["--suite", "ward", "--tests", str(done[0] / "tests"), "--output", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, ["evaluate", "run", "--model", str(place), *words])
    assert ran.exit_code == 0, ran.output
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    found = results["tests"]["ward"]
    if not looked:
        assert "clean" not in found
        return
    clean = found["clean"]
    assert (clean["looked_for"], clean["seen"], clean["rows"]) == (True, 1, 23)
    right, at = found["scores"][found["headline"]]["value"] * 24, clean["value"] * 23
    assert right - at == pytest.approx(0) or right - at == pytest.approx(1)
    assert "clean subset, 23 items; 1 stand in the corpus that it was trained on" in ran.output


def test_a_test_that_nobody_looked_for_is_said_to_be_unknown(done: tuple[Path, str], tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "ward.csv").write_text("question,A,B,C,answer,ward\nOther words here?,x,y,z,A,a\n", encoding="utf-8")
    (tests / "ward.test.yaml").write_text(YAML, encoding="utf-8")
    words = ["--suite", "ward", "--tests", str(tests), "--output", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, ["evaluate", "run", "--model", str(done[0] / "runs/sft"), *words])
    assert ran.exit_code == 0, ran.output
    assert json.loads((tmp_path / "out/results.json").read_text())["tests"]["ward"]["clean"] == {"looked_for": False}
    assert "its corpus was not searched for this test's items" in ran.output


def test_a_corpus_that_was_changed_since_is_none(done: tuple[Path, str]) -> None:
    part = done[0] / "runs/corpus/train/dialogue/part-00000.jsonl"
    kept = part.read_bytes()
    assert corpus_of(part) == done[0] / "runs/corpus"
    assert corpus_of(done[0] / "raw.jsonl") is None
    try:
        part.write_bytes(kept + kept.splitlines(keepends=True)[0])
        with pytest.raises(RunError, match=r"part-00000\.jsonl is not the file that the curation .* made"):
            corpus_of(part.parent)
    finally:
        part.write_bytes(kept)
