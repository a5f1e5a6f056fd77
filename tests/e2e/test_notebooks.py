"""The notebooks, executed from top to bottom in their short settings."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from tests.notebooks import NEEDED, ROOT, execute
from tests.stages import manifest

from medicalgpt.runs import metrics

NAMES = {"dpo": ("pt", "sft", "dpo"), "ppo": ("pt", "sft", "rm", "ppo")}


def executed(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The cells of a notebook by their ids, after a short run in a folder with the samples alone."""
    monkeypatch.setenv("MEDICALGPT_NOTEBOOK_SHORT", "1")
    found = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    for cell in found.cells:
        cell.outputs = []  # not what is stored
    execute(found, place, timeout=900)
    assert sorted(p.name for p in place.iterdir()) == sorted([*NEEDED, "runs"])
    return {cell.id: cell for cell in found.cells}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_from_top_to_bottom(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = executed(f"run_training_{name}_pipeline", tmp_path, monkeypatch)
    for stage in NAMES[name]:
        assert shown(cells[f"{stage}-curve"], "image/png"), stage
    models = [stage for stage in NAMES[name] if stage != "rm"]
    table = "\n".join(shown(cells["table"], "text/markdown"))
    assert f"| | base | {' | '.join(models)} |" in table
    assert re.search(r"\| answer loss \| \d+\.\d+ \[\d+\.\d+, \d+\.\d+\]", table)
    assert len(shown(cells["table"], "image/png")) == 1
    (answers,) = shown(cells["answers"], "text/html")
    assert f">{models[-1]}</th>" in answers
    assert answers.count("<tr>") == 1 + 3
    if name == "ppo":
        assert shown(cells["rm-length"], "image/png")
        assert "held-out accuracy" in "".join(o.get("text", "") for o in cells["rm-length"].outputs)
        assert "| stop_rate |" in table
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [f"notebook-{name}-short"]
    already_better(tmp_path / "runs" / f"notebook-{name}-short", NAMES[name])


@pytest.mark.slow
def test_the_hospital_s_files_become_a_model_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = executed("run_hospital_pipeline", tmp_path, monkeypatch)
    said = {name: "".join(o.get("text", "") for o in cell.get("outputs", [])) for name, cell in cells.items()}
    (found,) = shown(cells["files"], "text/html")
    assert "[NAME1]" in found
    (chinese,) = shown(cells["chinese"], "text/html")
    assert "[姓名1]" in chinese
    assert chinese.count("王建国") == 2, "in the originals only"
    assert re.search(r"(PASS|INCONCLUSIVE) +switchboard", said["test"])
    for chart in ("pt", "sft", "test"):
        assert shown(cells[chart], "image/png"), chart
    runs = tmp_path / "runs" / "notebook-hospital-short"
    assert (runs / "surrogates.key").stat().st_mode & 0o077 == 0
    assert (runs / "hospital.gguf").stat().st_size > 100e6
    (answers,) = shown(cells["chat"], "text/html")
    assert answers.count("<tr>") == 1 + 3
    assert (runs / "trust.html").is_file()
    record = manifest(runs / "sft")
    assert record["after"]["eval/loss"] < record["before"]["eval/loss"]


def already_better(runs: Path, stages: Iterable[str]) -> None:
    """A step or two have moved every stage's own number the right way."""
    records = {stage: manifest(runs / stage) for stage in stages}
    for stage in ("pt", "sft"):
        assert records[stage]["after"]["eval/loss"] < records[stage]["before"]["eval/loss"], stage
    if "dpo" in records:
        assert records["dpo"]["before"]["eval/rewards/margin"] == 0.0
        assert records["dpo"]["after"]["eval/rewards/margin"] > 0.0
    if "ppo" in records:
        first = next(line for line in metrics.read(runs / "ppo" / "metrics.jsonl") if "train/kl" in line)
        assert abs(first["train/kl"]) < 1e-3, "the first answers come from the reference itself"


def shown(cell: Any, kind: str) -> list[str]:
    """What a cell displayed in one format."""
    return [output.data[kind] for output in cell.outputs if kind in output.get("data", {})]
