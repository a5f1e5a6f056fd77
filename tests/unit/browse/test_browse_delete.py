"""Deleting: only runs, only what runs make, nothing in use, nothing behind a link."""

import json
import shutil
from pathlib import Path

import pytest
from tests.run_folders import begun, checkpoint, evaluated, finished, running
from tests.unit.browse.test_browse_list import plan

from medicalgpt.browse.delete import delete
from medicalgpt.browse.users import users_of
from medicalgpt.errors import RunError
from medicalgpt.runs.hashes import hash_file


def test_a_run_goes_as_a_whole(tmp_path: Path) -> None:
    run = finished(tmp_path / "runs/a")
    checkpoint(run, 2)
    evaluated(run / "evaluation/t")
    (run / "nonfinite-step-3-rank-0.json").write_text("{}")
    (run / ".step-4.tmp").mkdir()
    size = sum(p.stat().st_size for p in run.rglob("*") if p.is_file())
    done = delete(run)
    assert (done.size, done.kept) == (size, ())
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_no_run_makes_stays(tmp_path: Path) -> None:
    run = finished(tmp_path / "runs/a")
    (run / "notes.txt").write_text("mine")
    (run / "my-model").mkdir()
    (run / "my-model/weights").write_text("mine")
    assert delete(run).kept == ("my-model", "notes.txt")
    assert sorted(p.name for p in run.rglob("*")) == ["my-model", "notes.txt", "weights"]


def test_nothing_behind_a_link_is_touched(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "weights").write_text("x")
    run = finished(tmp_path / "runs/a")
    shutil.rmtree(run / "model")
    (run / "model").symlink_to(kept)
    (run / "figures").mkdir()
    (run / "figures/link").symlink_to(kept)
    (tmp_path / "runs/link").symlink_to(run)
    with pytest.raises(RunError, match="link is a link; name the folder itself"):
        delete(tmp_path / "runs/link")
    delete(run)
    assert not run.exists()
    assert (kept / "weights").read_text() == "x"


@pytest.mark.parametrize("name", ["", "home", "missing"])
def test_what_is_no_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/manifest.json").write_text("{}")
    finished(tmp_path / "runs/a")
    with pytest.raises(RunError, match=r"is no run, corpus, pipeline or evaluation|no folder that can be read"):
        delete(tmp_path / name, force=True)
    assert (tmp_path / "home/manifest.json").is_file()
    assert (tmp_path / "runs/a/manifest.json").is_file()


def test_a_running_run_is_refused_unless_forced(tmp_path: Path) -> None:
    run = begun(tmp_path / "runs/a")
    with running(run):
        with pytest.raises(RunError, match="is running; stop it first"):
            delete(run)
        assert (run / "metrics.jsonl").is_file()
        delete(run, force=True)
    assert not run.exists()


def test_an_evaluation_that_runs_in_it_counts(tmp_path: Path) -> None:
    run = finished(tmp_path / "runs/a")
    inner = run / "evaluation/t"
    inner.mkdir(parents=True)
    (inner / ".progress.jsonl").write_text("")
    with running(inner), pytest.raises(RunError, match="evaluation/t is running"):
        delete(run)


def test_what_others_go_on_from_is_refused_with_their_names(tmp_path: Path) -> None:
    first = finished(tmp_path / "runs/pt", "pt")
    finished(tmp_path / "runs/sft", base=first / "model")
    finished(tmp_path / "runs/more", parent=first)
    begun(tmp_path / "runs/dpo", "dpo", "objective.reference=model", f"objective.reference_model={first}")
    with pytest.raises(RunError) as caught:
        delete(first)
    said = str(caught.value)
    assert all(f"runs/{name} (a run that goes on from it)" in said for name in ("sft", "more", "dpo"))
    assert (first / "manifest.json").is_file()
    assert delete(tmp_path / "runs/sft").kept == ()
    delete(first, force=True)
    assert not first.exists()


def test_a_published_model_whose_lineage_names_it(tmp_path: Path) -> None:
    run = finished(tmp_path / "runs/a")
    model = tmp_path / "runs/published"
    model.mkdir()
    stages = [{"stage": "sft", "manifest_sha256": hash_file(run / "manifest.json")}]
    (model / "lineage.json").write_text(json.dumps({"base": {}, "stages": stages, "steps": []}))
    assert [str(user) for user in users_of(run, tmp_path / "runs")] == [f"{model} (a model whose lineage names a)"]
    with pytest.raises(RunError, match="a model whose lineage names a"):
        delete(run)
    (model / "lineage.json").rename(model / "certificate.json")
    with pytest.raises(RunError, match="a model whose certificate names a"):
        delete(run)
    other = tmp_path / "published"
    model.rename(other)
    with pytest.raises(RunError, match="published"):
        delete(run, among=tmp_path)
    delete(run)


def test_a_stage_of_a_pipeline_is_its_and_a_pipeline_goes_as_a_whole(tmp_path: Path) -> None:
    chain = tmp_path / "runs/chain"
    first = finished(chain / "one")
    finished(chain / "two", base=first / "model", parent=first)
    plan(chain, "one", "two")
    (chain / "summary.json").write_text("{}")
    (chain / "scores").mkdir()
    (chain / "two/mine.txt").write_text("x")
    with pytest.raises(RunError, match="a pipeline with it as a stage"):
        delete(chain / "two")
    later = finished(tmp_path / "runs/later", base=chain / "two/model")
    with pytest.raises(RunError, match="later"):
        delete(chain)
    delete(later)
    assert delete(chain).kept == ("two/mine.txt", "two")
    assert sorted(p.name for p in chain.rglob("*")) == ["mine.txt", "two"]


def test_an_evaluation_alone(tmp_path: Path) -> None:
    folder = evaluated(tmp_path / "t")
    assert delete(folder).kept == ()
    assert not folder.exists()
