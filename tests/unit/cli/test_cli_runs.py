"""`medicalgpt runs` as typed: what is printed, what is asked, and how it ends."""

import json
import time
from pathlib import Path
from typing import get_args

import pytest
from tests.run_folders import begun, checkpoint, evaluated, finished
from typer.testing import CliRunner

from medicalgpt.browse import info
from medicalgpt.browse import pack as packing
from medicalgpt.browse.follow import follow
from medicalgpt.cli import app, runs


def said(*words: object, code: int = 0, given: str = "") -> str:
    done = CliRunner().invoke(app, ["runs", *map(str, words)], input=given)
    assert done.exit_code == code, done.output
    return done.output


def test_words_of_the_options_are_those_of_the_types() -> None:
    for choice, words in ((runs.Kind, info.Kind), (runs.State, info.State), (runs.Part, packing.Part)):
        assert [one.value for one in choice] == list(get_args(words))


def test_list(tmp_path: Path) -> None:
    finished(tmp_path / "b", "dpo", after={"eval/loss": 1.25})
    checkpoint(begun(tmp_path / "a"), 2)
    head, first, second = said("list", tmp_path).splitlines()
    assert head.split("\t")[:4] == ["name", "stage", "state", "held out, before → after"]
    assert first.split("\t")[:4] == ["a", "sft", "interrupted (goes on from step 2)", "loss 2.5 → 2"]
    assert second.split("\t")[:6] == ["b", "dpo", "finished", "loss 2.5 → 1.25", "smollm2-135m", "a.jsonl"]
    assert second.split("\t")[7] == "90 s"
    found = json.loads(said("list", tmp_path, "--json", "--sort", "eval/loss", "--descending", "--state", "finished"))
    assert [(one["name"], one["numbers"][0]["after"], one["kind"]) for one in found] == [("b", 1.25, "run")]
    assert "none of 2" in said("list", tmp_path, "--filter", "zebra")
    (tmp_path / "empty").mkdir()
    assert "no runs below" in said("list", tmp_path / "empty")
    assert "is no folder" in said("list", tmp_path / "no", code=2)
    assert "'eval/x'; allowed" in said("list", tmp_path, "--sort", "eval/x", code=2)


def test_names_and_notes_cannot_move_the_cursor(tmp_path: Path) -> None:
    finished(tmp_path / "a\x1b[2Jb\nc", base="\x1b]0;x\x07")
    out = said("list", tmp_path) + said("show", tmp_path / "a\x1b[2Jb\nc")
    assert "\x1b" not in out
    assert "\x07" not in out
    assert len(said("list", tmp_path).splitlines()) == 2


def test_show(tmp_path: Path) -> None:
    parent = finished(tmp_path / "pt", "pt")
    run = finished(tmp_path / "sft", base=parent / "model", parent=parent)
    out = said("show", run)
    for expected in (
        "· sft · finished",
        str(parent),
        "a.jsonl (4 rows kept)",
        "eval/loss  2.5 → 2  (better)",
        "rank 8",
    ):
        assert expected in out
    assert len(out.splitlines()) < 40
    assert json.loads(said("show", run, "--json"))["parents"] == [str(parent)]
    assert "triage" in said("show", evaluated(tmp_path / "t"))
    assert "is no run" in said("show", tmp_path, code=2)


def test_compare(tmp_path: Path) -> None:
    one, two = finished(tmp_path / "one", "sft", "lora.rank=4"), finished(tmp_path / "two")
    page = tmp_path / "c.html"
    out = said("compare", one, two, "--output", page)
    assert "lora.rank\t4\t8" in out
    assert "eval/loss\t2.5 → 2\t2.5 → 2" in out
    assert "train/loss\t2.25 █▅▁ 1.75\t2.25 █▅▁ 1.75" in out
    assert "one (step 3): one says rest" in out
    assert page.is_file()
    assert "model.base\t" not in out
    assert "model.base\tsmollm2-135m\tsmollm2-135m" in said("compare", one, two, "--same")
    assert "says rest" not in said("compare", one, two, "--samples", "0")
    assert json.loads(said("compare", one, two, "--json"))["differences"]["lora.rank"] == {"one": "4", "two": "8"}
    assert "give 2 to" in said("compare", one, code=2)


def test_tail_of_what_is_over_and_of_what_is_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished(tmp_path / "a")
    *lines, last = said("tail", run, "-n", "2").splitlines()
    assert lines[0] == "step 3  loss 1.75  learning_rate 0.0001  tokens 300"
    assert last == f"finished: {run}"

    def stopped(*_: object) -> object:
        yield from list(follow(run))[:1]
        raise KeyboardInterrupt

    monkeypatch.setattr("medicalgpt.browse.follow.follow", stopped)
    assert "no longer followed; the run goes on" in said("tail", run)


def test_delete_asks_first(tmp_path: Path) -> None:
    run = finished(tmp_path / "a")
    out = said("delete", run, given="n\n", code=2)
    assert "Delete it for good?" in out
    assert "nothing was deleted" in out
    assert f"nothing below {tmp_path} goes on from it" in out
    assert (run / "manifest.json").is_file()
    (run / "notes.txt").write_text("x")
    out = said("delete", run, given="y\n")
    assert "kept, as no run makes it: notes.txt" in out
    assert list(run.iterdir()) == [run / "notes.txt"]
    later = finished(tmp_path / "later", base=finished(tmp_path / "first") / "model")
    assert "Delete those first, or give --force" in said("delete", tmp_path / "first", "--yes", code=2)
    assert "Delete those first" in said("delete", later, tmp_path / "first", "--yes", code=2)
    assert later.is_dir(), "none of them, where one may not"
    said("delete", tmp_path / "first", "--yes", "--force")
    assert not (tmp_path / "first").exists()


def test_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = said("export", finished(tmp_path / "runs/a"))
    assert "written: a.zip, 4 files and contents.json" in out
    assert "left out: samples.jsonl (text of rows and answers; --with text adds it)" in out
    assert "left out: " not in said("export", "runs/a", "--output", "b.tar.zst", "--with", "weights", "--with", "text")
    assert "'everything' is not one of" in said("export", "runs/a", "--with", "everything", code=2)


def test_many_runs_are_listed_in_about_a_second(tmp_path: Path) -> None:
    """A quarter of a thousand here, and a bound that a loaded machine keeps, too."""
    first = finished(tmp_path / "run-0")
    text = {path.name: path.read_bytes() for path in first.iterdir() if path.is_file()}
    for n in range(1, 250):
        (tmp_path / f"run-{n}").mkdir()
        for name, data in text.items():
            (tmp_path / f"run-{n}" / name).write_bytes(data)
    began = time.process_time()
    assert len(json.loads(said("list", tmp_path, "--json"))) == 250
    assert time.process_time() - began < 2.0
