"""Commands that name data take addresses of hubs as they take files."""

import json

import pytest
from tests.hubs import Hubs, online
from tests.stages import dialogues
from tests.tiny import save_tiny
from typer.testing import CliRunner

from medicalgpt.cli import app


@pytest.fixture
def hubs(tmp_path, monkeypatch):
    found = Hubs()
    with online(found.handler(), tmp_path, monkeypatch):
        rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in dialogues(9)).encode()
        found.commit("org/med", {"train.jsonl": rows, "test.jsonl": rows[: rows.index(b"\n") + 1]})
        yield found


def _run(*words):
    done = CliRunner().invoke(app, list(map(str, words)))
    return done.exit_code, done.output


def test_inspect_says_the_commit_and_how_many_rows(hubs, tmp_path):
    save_tiny(tmp_path / "base")
    code, said = _run(
        "data", "inspect", "hf://org/med#5", "ms://org/med/test", "--model", tmp_path / "base", "--rows", 0
    )
    assert code == 0, said
    commit = hubs.refs[("org/med", "main")][:12]
    assert f"hf://org/med#5: commit {commit}, 1 files; the first 5 rows are read, the others left out" in said
    assert f"ms://org/med/test: commit {commit}, 1 files" in said
    assert "dialogue: rows 6," in said


def test_generate_answers_a_split_and_names_several_files(hubs, tmp_path):
    save_tiny(tmp_path / "base")
    how = ("--model", tmp_path / "base", "--output", tmp_path / "out.jsonl", "--max-new-tokens", 2)
    code, said = _run("generate", *how, "--input", "hf://org/med/test")
    assert code == 0, said
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1
    hubs.commit("org/two", {"train/a.jsonl": b"{}", "train/b.jsonl": b"{} "})
    how = ("--model", tmp_path / "base", "--output", tmp_path / "other.jsonl")
    for address, words in (("hf://org/two", "2 files are behind it"), ("hf://org/med#2", "read to its end here")):
        code, said = _run("generate", *how, "--input", address)
        assert code != 0
        assert words in said.replace("\n", " ")
