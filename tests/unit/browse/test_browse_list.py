"""Lists of runs: what is found below a folder, and that the state of each is true."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.run_folders import HOLD, SHA, begun, checkpoint, evaluated, finished, running

from medicalgpt.browse.find import find, info_of
from medicalgpt.browse.info import RunInfo
from medicalgpt.browse.select import chosen, ordered
from medicalgpt.errors import DataError, RunError
from medicalgpt.pipeline.plan import Plan, PlannedStage
from medicalgpt.runs import RunFolder, RunKey
from medicalgpt.runs.failure import read_failure
from medicalgpt.runs.lock import FolderLock, held


def one(folder: Path) -> RunInfo:
    found = info_of(folder)
    assert found is not None
    return found


def plan(folder: Path, *names: str) -> None:
    stages = tuple(PlannedStage(name=name, stage="sft", answers=True) for name in names)
    Plan(
        base="b",
        stages=stages,
        suites=(),
        gates=(),
        on_block="stop",
        file_sha256=SHA,
        command="medicalgpt pipeline run x",
    ).write(folder)


def test_a_finished_run_says_what_its_manifest_says(tmp_path: Path) -> None:
    parent = finished(tmp_path / "pt", "pt")
    shares = {"eval/rewards/accuracy": 0.8, "eval/rewards/accuracy_low": 0.7, "eval/rewards/accuracy_high": 0.9}
    found = one(finished(tmp_path / "sft", base=parent / "model", parent=parent, after=shares))
    assert (found.stage, found.state, found.note, found.kind) == ("sft", "finished", "", "run")
    assert found.parents == (parent,)
    assert (found.data, found.rows, found.tokens, found.seconds) == (("a.jsonl",), 4, 300, 90.0)
    number = found.first_number
    assert number is not None
    assert number.text == "eval/rewards/accuracy – → 80.0 % [70.0 %, 90.0 %]"
    assert number.values["after_low"] == 0.7
    assert found.size == sum(p.stat().st_size for p in (tmp_path / "sft").rglob("*") if p.is_file())


def test_a_parent_named_in_two_ways_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = finished(tmp_path / "runs/pt", "pt")
    finished(tmp_path / "runs/sft", base=parent / "model", parent=parent)
    monkeypatch.chdir(tmp_path)
    assert one(Path("runs/sft")).parents == (Path("runs/pt"),)


def test_files_of_one_name_are_told_apart_and_held_out_ones_come_last(tmp_path: Path) -> None:
    files = {name: {"rows": 5} for name in ("held/zh.jsonl", "held/en.jsonl", "rows/part.jsonl", "rows/zh.jsonl")}
    looked = {"held/zh.jsonl": {"characters": 9, "of": 9}, "held/en.jsonl": {"characters": 9, "of": 9}}
    looked["rows/part.jsonl"] = {"characters": 3, "of": 90}
    ledger = {"rows": 20, "kept": 20, "files": files, "held_out": {"files": looked}}
    found = one(finished(tmp_path / "sft", ledger=ledger))
    assert found.data == ("part.jsonl", "rows/zh.jsonl", "held/zh.jsonl", "en.jsonl")


def test_interrupted_says_from_where_it_goes_on(tmp_path: Path) -> None:
    run = begun(tmp_path / "a")
    assert one(run).state == "interrupted"
    assert one(run).note == "the same command begins again: no checkpoint was saved"
    checkpoint(run, 2)
    damaged = checkpoint(run, 3)
    assert one(run).note == "goes on from step 3"
    (damaged / "optimizer.pt").write_bytes(b"o")
    found = one(run)
    assert found.note == "goes on from step 2"
    assert (found.stage, found.step, found.tokens, found.data) == ("sft", 3, 300, ("a.jsonl",))
    assert [number.text for number in found.measured] == ["eval/loss 2.5 → 2"]


def test_running_is_who_holds_the_lock_and_a_killed_process_holds_none(tmp_path: Path) -> None:
    run = begun(tmp_path / "a")
    with running(run):
        assert one(run).state == "running"
        assert held(run / ".lock") is True
    assert one(run).state == "interrupted"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert (run / ".lock").read_text() == str(process.pid)  # it could not take its number back
    assert one(run).state == "interrupted"


def test_looking_does_not_keep_a_run_from_beginning(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    looker = subprocess.Popen(
        [sys.executable, "-c", f"import fcntl, sys\nf = open({str(path)!r}, 'w')\nfcntl.flock(f, fcntl.LOCK_SH)\n"
         "print('held', flush=True)\nimport time\ntime.sleep(0.1)"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert looker.stdout is not None
    assert looker.stdout.readline() == b"held\n"
    lock = FolderLock(path)
    lock.acquire()
    assert held(path) is True
    lock.release()
    assert held(path) is False
    looker.communicate(timeout=30)


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (DataError("rows.jsonl:3: no answer\nmore"), "DataError: rows.jsonl:3: no answer"),
        (ValueError("text of a patient"), "ValueError"),
    ],
)
def test_what_an_error_ended_failed_until_it_goes_on(tmp_path: Path, error: Exception, note: str) -> None:
    key = RunKey("sft", {}, {}, {}, SHA)
    folder = RunFolder(tmp_path / "a")
    folder.begin("output_dir: a\n", key)
    with pytest.raises(type(error)), folder:
        raise error
    found = one(folder.path)
    assert (found.state, found.note, found.stage) == ("failed", note, "sft")
    assert "patient" not in (folder.path / ".failed.json").read_text(encoding="utf-8")
    assert (folder.path / ".failed.json").stat().st_mode & 0o077 == 0 or os.umask(0o022) != 0o077
    with RunFolder(folder.path) as again:
        again.begin("output_dir: a\n", key)
        assert read_failure(folder.path) is None
        assert one(folder.path).state == "running"


def test_ctrl_c_is_no_failure(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a")
    folder.begin("output_dir: a\n", RunKey("sft", {}, {}, {}, SHA))
    with pytest.raises(KeyboardInterrupt), folder:
        raise KeyboardInterrupt
    assert one(folder.path).state == "interrupted"


def test_damaged_files_make_a_failed_run_with_the_reason(tmp_path: Path) -> None:
    broken = finished(tmp_path / "a")
    (broken / "manifest.json").write_text("{", encoding="utf-8")
    assert one(broken).state == "failed"
    assert "not JSON" in one(broken).note
    nameless = begun(tmp_path / "b")
    (nameless / ".run.json").write_text("[", encoding="utf-8")
    assert (one(nameless).state, one(nameless).stage) == ("failed", "")
    log = begun(tmp_path / "c")
    (log / "metrics.jsonl").write_text("no json\n", encoding="utf-8")
    assert "not a JSON object" in one(log).note


def test_pipelines_corpora_and_evaluations_are_found_at_any_depth(tmp_path: Path) -> None:
    chain = tmp_path / "deep" / "chain"
    finished(chain / "one")
    finished(chain / "corpus", stage="sft")
    run = begun(chain / "two")
    plan(chain, "one", "two")
    evaluated(chain / "one" / "evaluation" / "triage")
    (tmp_path / "leaks").mkdir()
    (tmp_path / "leaks/leakage.json").write_text('{"leaks": 2, "note": ""}', encoding="utf-8")
    (tmp_path / "broken-off").mkdir()
    (tmp_path / "broken-off/.progress.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "notes").mkdir()
    found = find(tmp_path).runs
    assert [(r.name, r.kind, r.state) for r in found] == [
        ("broken-off", "evaluation", "interrupted"),
        ("deep/chain", "pipeline", "interrupted"),
        ("deep/chain/corpus", "run", "finished"),
        ("deep/chain/one", "run", "finished"),
        ("deep/chain/one/evaluation/triage", "evaluation", "finished"),
        ("deep/chain/two", "run", "interrupted"),
        ("leaks", "leakage", "finished"),
    ]
    assert found[1].note == "the same command goes on with two"
    assert [n.text for n in found[4].measured] == ["triage 50.0 % [40.0 %, 60.0 %]"]
    with running(run):
        assert one(chain).state == "running"
    (chain / "gates.json").write_text('{"one": [{"verdict": "BLOCK", "name": "triage"}]}', encoding="utf-8")
    assert (one(chain).state, one(chain).note) == ("failed", "blocked by one: triage")


def test_links_are_not_followed_and_said(tmp_path: Path) -> None:
    finished(tmp_path / "elsewhere" / "a")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "runs" / "self").symlink_to(tmp_path / "runs")
    found = find(tmp_path / "runs")
    assert found.runs == []
    assert list(found.left_out) == [f"not followed: 2 links, such as {tmp_path / 'runs/link'}"]
    with pytest.raises(RunError, match="is no folder"):
        find(tmp_path / "none")


def test_a_folder_itself_may_be_the_run(tmp_path: Path) -> None:
    finished(tmp_path / "a")
    evaluated(tmp_path / "a/evaluation/t")
    assert [r.name for r in find(tmp_path / "a").runs] == ["a", "evaluation/t"]


def test_filter_and_sort(tmp_path: Path) -> None:
    for name, stage, loss in (("a", "sft", 2.0), ("b", "dpo", 1.0), ("c", "sft", 3.0)):
        finished(tmp_path / name, stage, after={"eval/loss": loss})
    begun(tmp_path / "d")
    (tmp_path / "d/metrics.jsonl").unlink()
    found = find(tmp_path).runs
    assert [r.name for r in ordered(found, "eval/loss")] == ["b", "a", "c", "d"]  # what has no number comes last,
    assert [r.name for r in ordered(found, "eval/loss", descending=True)] == ["c", "a", "b", "d"]  # either way
    assert [r.name for r in chosen(found, stages=["sft"], states=["finished"])] == ["a", "c"]
    assert [r.name for r in chosen(found, text="SMOLLM")] == ["a", "b", "c", "d"]
    assert [r.name for r in chosen(found, text="no checkpoint")] == ["d"]
    with pytest.raises(RunError, match=r"'eval/los'; allowed: name, .*did you mean 'eval/loss'"):
        ordered(found, "eval/los")
