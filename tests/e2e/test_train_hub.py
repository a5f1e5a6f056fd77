"""Stages trained on data of hubs, and on entries with rows and shares: what is read, pinned and said."""

import json
from pathlib import Path

import pytest
import yaml
from tests import rl
from tests.hubs import Hubs, online
from tests.stages import dialogues, feedback, manifest, weights, write
from tests.tiny import save_tiny

from medicalgpt.errors import DataError, RunError


@pytest.fixture
def hubs(tmp_path, monkeypatch):
    found = Hubs()
    with online(found.handler(), tmp_path, monkeypatch):
        yield found


pytestmark = pytest.mark.usefixtures("no_figures")


def _lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _data(run):
    return yaml.safe_load((run / "config.resolved.yaml").read_text(encoding="utf-8"))["data"]


def test_a_run_reads_the_commit_it_began_with(bench, hubs, tmp_path, monkeypatch, capsys):
    import huggingface_hub.constants as constants

    old = hubs.commit("org/med", {"train.jsonl": _lines(dialogues(12)), "test.jsonl": _lines(dialogues(4, first=12))})
    out, words = tmp_path / "run", ("data.train=hf://org/med#10", "data.eval=hf://org/med/test")
    bench.train("sft", out, *words)
    assert "the first 10 rows are read, the others left out" in capsys.readouterr().err
    assert _data(out)["train"] == [{"path": "hf://org/med#10", "commit": old}]
    assert _data(out)["eval"] == [{"path": "hf://org/med/test", "commit": old}]
    ledger = manifest(out)["ledger"]
    assert ledger["rows"] == 14
    assert ledger["sources"][0] == {
        "of": "data",
        "path": "hf://org/med#10",
        "files": 1,
        "commit": old,
        "rows": 10,
        "cut": True,
    }
    before = weights(out)
    hubs.commit("org/med", {"train.jsonl": _lines(dialogues(12, first=30)), "test.jsonl": _lines(dialogues(4))})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    bench.train("sft", out, *words)
    said = capsys.readouterr().err
    assert "finished already" in said
    assert f"read at commit {old}" in said
    bench.train("sft", tmp_path / "longer", *words)
    assert all((before[name] == tensor).all() for name, tensor in weights(tmp_path / "longer").items())
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    bench.train("sft", tmp_path / "new", *words)
    assert _data(tmp_path / "new")["train"][0]["commit"] != old
    with pytest.raises(RunError, match="data"):
        bench.train("sft", out, "data.train=hf://org/med@master#10", words[1])


def _taken(run):
    return {one["path"]: one["mix"] for one in manifest(run)["ledger"]["sources"] if "mix" in one}


def test_a_share_is_a_share_of_the_tokens_for_any_number_of_workers(bench, tmp_path, capsys, monkeypatch):
    own, general = write(tmp_path / "own.jsonl", dialogues(30)), write(tmp_path / "g.jsonl", dialogues(60, first=50))
    entries = f"data.train=[{own}, {{path: {general}, share: 0.25}}]"
    out = tmp_path / "run"
    bench.train("sft", out, entries, "data.eval_fraction=0", "data.workers=2", "data.max_tokens=128")
    mix = _taken(out)[str(general)]
    assert mix["of"] == 60
    assert 5 <= mix["samples"] == mix["taken"] <= 15
    assert f"{general}: share 0.25: 25" in capsys.readouterr().err.replace("\n", "")
    other = tmp_path / "other"
    monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "cache"))  # so that they are rendered anew
    bench.train("sft", other, entries, "data.eval_fraction=0", "data.workers=1", "data.max_tokens=128")
    same = weights(other)
    assert all((tensor == same[name]).all() for name, tensor in weights(out).items())
    assert _taken(other) == _taken(out)


def test_a_small_part_is_repeated_and_says_so(bench, tmp_path):
    small, large = write(tmp_path / "s.jsonl", dialogues(4)), write(tmp_path / "l.jsonl", dialogues(20, first=9))
    out = tmp_path / "run"
    bench.train("sft", out, f"data.train=[{{path: {small}, share: 0.5}}, {large}]", "data.eval_fraction=0")
    mix = _taken(out)[str(small)]
    assert mix["samples"] == 4 < mix["taken"]
    assert "each taken" in mix["words"]


def test_shares_that_make_one_repeat_nothing(bench, tmp_path):
    a, b = bench.folder / "kto.jsonl", write(tmp_path / "b.jsonl", feedback(18, first=40))
    out = tmp_path / "run"
    bench.train(
        "kto", out, f"data.train=[{{path: {a}, share: 0.8}}, {{path: {b}, share: 0.2}}]", "data.eval_fraction=0"
    )
    first, second = _taken(out)[str(a)], _taken(out)[str(b)]
    assert first["samples"] == first["taken"] == first["of"]
    assert 0 < second["taken"] == second["samples"] < second["of"]


def test_a_file_that_is_named_twice_is_refused(bench, tmp_path):
    file = bench.folder / "sft.jsonl"
    with pytest.raises(DataError, match="both name it"):
        bench.train("sft", tmp_path / "run", f"data.train=[{file}, {{path: {file}, rows: 3}}]")


def test_documents_and_replay_take_rows(bench, tmp_path):
    file, replay = (
        bench.folder / "pt.jsonl",
        write(tmp_path / "replay.jsonl", [{"text": "Rivers run to the sea. " * 9}] * 9),
    )
    out = tmp_path / "run"
    words = (
        f"data.train={{path: {file}, rows: 3}}",
        f"data.replay={{path: {replay}, rows: 2}}",
        "data.eval_fraction=0",
    )
    bench.train("pt", out, *words)
    ledger = manifest(out)["ledger"]
    assert {Path(name).name: counts["rows"] for name, counts in ledger["files"].items()} == {
        "pt.jsonl": 3,
        "replay.jsonl": 2,
    }
    assert [one["of"] for one in ledger["sources"]] == ["data", "replay"]


def test_prompts_take_rows_and_shares(bench, tmp_path):
    from tests.rl import train

    a, b = write(tmp_path / "a.jsonl", dialogues(8)), write(tmp_path / "b.jsonl", dialogues(20, first=20))
    out = tmp_path / "run"
    entries = f"data.train=[{{path: {a}, rows: 6}}, {{path: {b}, share: 0.25}}]"
    train(bench, "grpo", out, entries, "data.eval_fraction=0")
    ledger = manifest(out)["ledger"]
    assert ledger["rows"] == 26
    assert ledger["sources"][0] == {"of": "data", "path": str(a), "files": 1, "rows": 6, "cut": True}
    assert ledger["sources"][1]["mix"]["prompts"] == 2  # of 8


@pytest.mark.parametrize(("stage", "role"), [("dpo", "reference"), ("distill", "teacher")])
def test_base_and_other_model_of_hubs_are_read_and_recorded_at_their_commits(
    stage, role, bench, hubs, tmp_path, monkeypatch
):
    def published(name, seed):
        folder = save_tiny(tmp_path / name, seed=seed)
        return hubs.commit(f"org/{name}", {path.name: path.read_bytes() for path in folder.iterdir()})

    base, other = published("base", 0), published("other", 5)
    words = ["model.base=org/base", f"output_dir={tmp_path / 'run'}"]
    if stage == "dpo":
        words += ["objective.reference=model", "objective.reference_model=ms://org/other"]
        bench.train("dpo", tmp_path / "run", *words)
    else:
        rl.train(bench, "distill", tmp_path / "run", *words, "objective.teacher=ms://org/other", "train.max_steps=1")
    record = manifest(tmp_path / "run")
    assert record["base"] == f"hf://org/base@{base}"
    assert record["models"] == {role: f"ms://org/other@{other}"}
    assert list(record["hashes"]["models"]) == [role]
    config = yaml.safe_load((tmp_path / "run" / "config.resolved.yaml").read_text(encoding="utf-8"))
    assert (config["model"]["commit"], config["objective"][f"{role}_commit"]) == (base, other)
