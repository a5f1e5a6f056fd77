"""The notebooks as they are shipped, and executed from top to bottom in their short settings."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from tests.stages import manifest

from medicalgpt.runs import metrics

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"dpo": ("pt", "sft", "dpo"), "ppo": ("pt", "sft", "rm", "ppo")}
NEEDED = ("configs", "examples", "notebooks")  # what a notebook reads of its clone


def path(name: str) -> Path:
    return ROOT / "notebooks" / f"run_training_{name}_pipeline.ipynb"


def book(name: str) -> Any:
    return nbformat.read(path(name), as_version=4)


def code(name: str) -> str:
    return "\n".join(cell.source for cell in book(name).cells if cell.cell_type == "code")


# -- as they are shipped ------------------------------------------------------------------------------------------------
def test_every_notebook_is_known_here() -> None:
    assert sorted((ROOT / "notebooks").glob("*.ipynb")) == sorted(path(name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_valid_and_without_outputs(name: str) -> None:
    found = book(name)
    nbformat.validate(found)
    assert (found.nbformat, found.nbformat_minor) >= (4, 5)
    assert found.metadata.kernelspec.name == "python3"
    assert len({cell.id for cell in found.cells}) == len(found.cells)
    for cell in found.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("name", NAMES)
def test_every_text_is_there_in_both_languages(name: str) -> None:
    for cell in book(name).cells:
        if cell.cell_type == "markdown":
            english = [p for p in cell.source.split("\n\n") if not re.search(r"[\u4e00-\u9fff]", p)]
            chinese = [p for p in cell.source.split("\n\n") if re.search(r"[\u4e00-\u9fff]", p)]
            assert len(english) == len(chinese), f"{cell.id}: a paragraph lacks its translation"
            assert len(re.findall(r"[A-Za-z]{2,}", " ".join(english))) >= 10, cell.id
            assert len(re.findall(r"[\u4e00-\u9fff]", " ".join(chinese))) >= 20, cell.id


@pytest.mark.parametrize("name", NAMES)
def test_it_names_no_folder_of_one_machine(name: str) -> None:
    text = path(name).read_text(encoding="utf-8")
    assert re.findall(r"(?<![\w./])(?:/(?:home|root|Users|tmp|work|content|mnt)\b|[A-Z]:\\\\|~/)", text) == []


@pytest.mark.parametrize("name", NAMES)
def test_one_cell_trains_one_stage(name: str) -> None:
    trained = [re.findall(r'pipeline\.train\("(\w+)"\)', c.source) for c in book(name).cells if c.cell_type == "code"]
    assert [found for found in trained if found] == [[stage] for stage in NAMES[name]]


@pytest.mark.parametrize("name", NAMES)
def test_weak_reward_models_are_accepted_in_the_short_settings_only(name: str) -> None:
    full, _, rest = code(name).partition("if SHORT:\n")
    short = re.match(r"(?: {4}.*\n)+", rest)
    assert short is not None
    assert "allow_weak_model" not in full + rest[short.end() :]
    assert ("allow_weak_model" in short[0]) == (name == "ppo")


def test_outside_a_clone_the_reader_is_told_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    setup = next(cell.source for cell in book("dpo").cells if cell.id == "setup")
    with pytest.raises(RuntimeError, match="address of its git repository into REPOSITORY"):
        exec(setup, {})
    assert list(tmp_path.iterdir()) == []


PLACES = {
    "fileId=https%3A%2F%2Fgithub.com%2Fsome-one%2FMedicalGPT%2Fblob%2Fmain%2Fnotebooks%2Frun.ipynb": [
        "--branch",
        "main",
        "https://github.com/some-one/MedicalGPT",
    ],
    "fileId=https%253A//github.com/a/b.c/blob/v1.2/run.ipynb": ["--branch", "v1.2", "https://github.com/a/b.c"],
    "fileId=1a2B3c": [],
}


@pytest.mark.parametrize("place", PLACES)
def test_on_colab_it_finds_where_it_was_opened_from(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sessions(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/api/sessions"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps([{"path": place, "name": "run.ipynb"}]).encode())

        def log_message(self, *_: Any) -> None: ...

    asked: list[list[str]] = []

    def clone(words: list[str], **_: Any) -> None:
        asked.append(words)
        (tmp_path / "MedicalGPT").mkdir()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", clone)
    with ThreadingHTTPServer(("127.0.0.1", 0), Sessions) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("COLAB_JUPYTER_IP", "127.0.0.1")
        monkeypatch.setenv("KMP_TARGET_PORT", str(server.server_port))
        setup = next(cell.source for cell in book("ppo").cells if cell.id == "setup")
        with nullcontext() if PLACES[place] else pytest.raises(RuntimeError, match="into REPOSITORY"):
            exec(setup, {})
        server.shutdown()
    assert asked == ([["git", "clone", "--depth", "1", *PLACES[place], "MedicalGPT"]] if PLACES[place] else [])


# -- executed -----------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_from_top_to_bottom(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDICALGPT_NOTEBOOK_SHORT", "1")
    for folder in NEEDED:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    found = book(name)
    where = {"metadata": {"path": str(tmp_path / "notebooks")}}
    NotebookClient(found, timeout=900, kernel_name="python3", resources=where).execute()
    cells = {cell.id: cell for cell in found.cells}
    for stage in NAMES[name]:
        assert shown(cells[f"{stage}-curve"], "image/png"), stage
    models = [stage for stage in NAMES[name] if stage != "rm"]
    table = "\n".join(shown(cells["table"], "text/markdown"))
    assert f"| | base | {' | '.join(models)} |" in table
    assert re.search(r"\| answer loss \| \d+\.\d+ \[\d+\.\d+, \d+\.\d+\]", table)
    (answers,) = shown(cells["answers"], "text/html")
    assert f">{models[-1]}</th>" in answers
    assert answers.count("<tr>") == 1 + 3
    if name == "ppo":
        assert shown(cells["rm-length"], "image/png")
        assert "held-out accuracy" in "".join(o.get("text", "") for o in cells["rm-length"].outputs)
        assert "| stop_rate |" in table
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*NEEDED, "runs"])
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [f"notebook-{name}-short"]
    already_better(tmp_path / "runs" / f"notebook-{name}-short", NAMES[name])


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
