"""Models of hubs: one commit, what is read first and what later, what is refused, and what a run notes; against stand-ins."""

import json
import os
from pathlib import Path

import pytest
from tests.hubs import Hubs, online
from tests.marks import quick_and_slow
from tests.stages import dialogues
from tests.tiny import NO_WEIGHTS, save_tiny
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.errors import ModelError
from medicalgpt.models.adapter_config import base_name, down_to_base
from medicalgpt.models.fetch import copy_to
from medicalgpt.models.locate import config_of, locate

LLAMA = b'{"model_type": "llama"}'
HUBS = pytest.mark.parametrize("hub", ["hf", "ms"])


@pytest.fixture
def hubs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = Hubs()
    with online(found.handler(), tmp_path, monkeypatch):
        yield found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A tiny model's files as a repository has them, with others that nobody needs."""
    folder = save_tiny(tmp_path_factory.mktemp("tiny"))
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    return files | {
        "pytorch_model.bin": b"x" * 99,
        "onnx/model.safetensors": b"x" * 99,
        "consolidated.safetensors": b"x" * 99,
    }


def _offline(monkeypatch):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def _run(*words):
    done = CliRunner().invoke(app, list(map(str, words)))
    return done.exit_code, done.output.replace("\n", " ")


@HUBS
def test_what_is_read_first_comes_at_once_and_the_weights_when_they_are_needed(hubs, hub, tiny):
    commit = hubs.commit("org/good", tiny)
    found = locate(f"{hub}://org/good")
    assert found.kind == "model"
    assert found.address == f"{hub}://org/good@{commit}"
    assert found.name == ("org/good" if hub == "hf" else "ms://org/good")
    assert config_of(found)["model_type"] == "llama"
    assert "model.safetensors" not in hubs.fetched
    folder = Path(found.complete())
    assert (folder / "model.safetensors").read_bytes() == tiny["model.safetensors"]
    asked = len(hubs.fetched)
    assert not {"pytorch_model.bin", "onnx/model.safetensors", "consolidated.safetensors"} & set(hubs.fetched)
    assert found.complete() == str(folder)
    assert len(hubs.fetched) == asked


def test_a_bare_name_is_hugging_faces(hubs):
    commit = hubs.commit("org/good", {"config.json": LLAMA, "model.safetensors": NO_WEIGHTS})
    old = hubs.commit("org/good", {"config.json": b"{}", "model.safetensors": NO_WEIGHTS}, "v1")
    assert locate("org/good").address == locate("hf://org/good").address == f"hf://org/good@{commit}"
    for name, revision in (("org/good", "v1"), ("org/good@v1", None), ("hf://org/good@v1", None), ("org/good@v1", old)):
        assert locate(name, revision).address == f"hf://org/good@{old}"
    with pytest.raises(ModelError, match="two revisions; leave one out"):
        locate("org/good@v1", "main")
    for wrong in ("hf://org/good/train", "ms://org", "hf://org/good#4"):
        with pytest.raises(ModelError, match="not an address of a model; allowed: owner/name, hf://owner/name"):
            locate(wrong)


@HUBS
def test_without_a_network_the_cache_answers_and_says_what_it_lacks(hubs, hub, tiny, monkeypatch):
    hubs.commit("org/good", tiny)
    found = locate(f"{hub}://org/good")
    _offline(monkeypatch)
    asked = len(hubs.asked)
    assert locate(f"{hub}://org/good") == found
    with pytest.raises(
        ModelError, match=r"model\.safetensors is not in the cache, and HF_HUB_OFFLINE=1.*name a local folder"
    ):
        found.complete()
    with pytest.raises(ModelError, match=r"which commit it is is not in the cache"):
        locate(f"{hub}://org/other")
    assert len(hubs.asked) == asked


def test_what_another_program_left_in_hugging_faces_cache_is_found_offline(hubs, tiny, tmp_path, monkeypatch):
    _offline(monkeypatch)
    repo, commit = tmp_path / "hub" / "models--org--good", "0" * 40
    (repo / "snapshots" / commit).mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (repo / "snapshots" / commit / name).write_bytes(tiny[name])
    assert locate("org/good").complete() == str(repo / "snapshots" / commit)


@HUBS
@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {
                "config.json": b'{"auto_map": {"AutoModel": "x.Y"}}',
                "model.safetensors": b"",
                "x.py": b"raise SystemExit",
            },
            "trust_remote_code",
        ),
        ({"config.json": LLAMA, "pytorch_model.bin": b"x"}, r"pytorch_model\.bin: pickle files"),
        ({"train.csv": b"x"}, "it is not a model"),
        ({"config.json": LLAMA, "../x.json": b"{}", "model.safetensors": b""}, "the model is damaged or hostile"),
        ({"config.json": b"{", "model.safetensors": b""}, "not readable JSON"),
    ],
)
def test_what_is_refused_before_a_weight_is_fetched(hubs, hub, files, message):
    hubs.commit("org/bad", files)
    with pytest.raises(ModelError, match=message):
        locate(f"{hub}://org/bad")
    assert not {"model.safetensors", "x.py", "pytorch_model.bin"} & set(hubs.fetched)


def test_trusted_code_comes_along(hubs):
    files = {"config.json": b'{"auto_map": {"AutoModel": "x.Y"}}', "model.safetensors": NO_WEIGHTS, "x.py": b"pass"}
    hubs.commit("org/code", files)
    assert (Path(locate("ms://org/code", trust_remote_code=True).folder) / "x.py").read_bytes() == b"pass"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("org/none", r"hf://org/none: the model does not exist or is private; check the spelling"),
        ("org/gated", r"the model is gated: accept its terms on its Hub page"),
        ("org/good@v9", r"has no revision 'v9'"),
        ("ms://org/none", r"ms://org/none: the list of its files is not there or not for everyone \(HTTP 404\)"),
        ("runs/sftt", r"does not exist.*did you mean runs/sft\?"),
    ],
)
def test_what_is_not_there_says_what_to_do_and_no_token(hubs, tmp_path, monkeypatch, name, message):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    (tmp_path / "runs" / "sft").mkdir(parents=True)
    for repo in ("org/good", "org/gated"):
        hubs.commit(repo, {"config.json": LLAMA, "model.safetensors": NO_WEIGHTS})
    with pytest.raises(ModelError, match=message) as caught:
        locate(name)
    assert "hf_secret" not in str(caught.value)
    assert {token for _, token in hubs.asked} <= {None, "Bearer hf_secret"}


def test_an_unreachable_hub_is_one_clear_line(hubs, monkeypatch):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "http://127.0.0.1:9")
    for name, key in (("org/good", "HF_ENDPOINT"), ("ms://org/good", "MODELSCOPE_DOMAIN")):
        with pytest.raises(ModelError, match=rf"org/good: .* cannot be reached .*{key}") as caught:
            locate(name)
        assert ("nor is there a folder 'org/good' here" in str(caught.value)) is ("://" not in name)


@HUBS
def test_a_download_that_was_cut_short_goes_on(hubs, hub, tiny):
    kept = 10 << 20  # their library keeps whole blocks of so many bytes
    body = os.urandom(kept + 900)
    hubs.commit("org/good", {**tiny, "tokenizer.model": body})
    hubs.cuts["tokenizer.model"] = [kept + 100]
    found = locate(f"{hub}://org/good")
    assert (Path(found.folder) / "tokenizer.model").read_bytes() == body
    assert hubs.ranges == [f"bytes={kept if hub == 'hf' else kept + 100}-"]


def test_the_next_call_goes_on_where_the_network_gave_up(hubs):
    body = os.urandom(5000)
    hubs.commit("org/good", {"config.json": LLAMA, "model.safetensors": NO_WEIGHTS, "tokenizer.model": body})
    hubs.cuts["tokenizer.model"] = [1000, 0, 0, 0, 500]
    with pytest.raises(ModelError, match=r"cut short after 1,500 of 5,000 bytes; try again: it goes on from there"):
        locate("ms://org/good")
    assert (Path(locate("ms://org/good").folder) / "tokenizer.model").read_bytes() == body
    assert hubs.ranges == ["bytes=1000-"] * 4 + ["bytes=1500-"]


def test_a_beginning_of_something_else_is_thrown_away(hubs, tmp_path):
    body = os.urandom(5000)
    hubs.commit("org/good", {"config.json": LLAMA, "model.safetensors": NO_WEIGHTS, "tokenizer.model": body})
    hubs.cuts["tokenizer.model"] = [1000, 0, 0, 0, 0]
    with pytest.raises(ModelError, match="cut short"):
        locate("ms://org/good")
    (begun,) = (
        place for place in tmp_path.rglob("parts/*") if place.suffix != ".lock" and place.stat().st_size == 1000
    )
    begun.write_bytes(b"wrong" + body[5:1000])
    with pytest.raises(ModelError, match="size or SHA-256"):
        locate("ms://org/good")
    assert (Path(locate("ms://org/good").folder) / "tokenizer.model").read_bytes() == body


def test_pull_fetches_all_and_copies_a_plain_folder(hubs, tiny, tmp_path):
    commit = hubs.commit("org/good", tiny)
    code, said = _run("models", "pull", "ms://org/good", "--to", tmp_path / "usb" / "good")
    assert code == 0, said
    assert f"ms://org/good@{commit}" in said
    left = {"pytorch_model.bin", "onnx/model.safetensors", "consolidated.safetensors"}
    got = {p.name: p.read_bytes() for p in (tmp_path / "usb" / "good").iterdir()}
    assert got == {name: body for name, body in tiny.items() if name not in left and not name.endswith(".md")}
    assert locate(str(tmp_path / "usb" / "good")).kind == "model"
    for words, message in (
        (("ms://org/good", "--to", tmp_path / "usb" / "good"), "exists already"),
        (("smollm2-135m", "--to", tmp_path / "x"), "--to and --revision are for models of a hub"),
        (("org/good", "--accept-license"), "are for embedded models"),
    ):
        code, said = _run("models", "pull", *words)
        assert code != 0
        assert message in said


def test_copies_are_files_not_links(hubs, tiny, tmp_path):
    hubs.commit("org/good", tiny)
    found = locate("org/good")
    found.complete()
    assert not any(p.is_symlink() for p in copy_to(found, tmp_path / "out").iterdir())


@HUBS
def test_an_adapter_of_a_hub_stands_on_its_base_at_the_commit_it_names(hubs, hub, tiny):
    old = hubs.commit("org/base", tiny)
    hubs.commit("org/base", {**tiny, "more.txt": b"newer"})
    name = "org/base" if hub == "hf" else "ms://org/base"
    config = {"base_model_name_or_path": name, "revision": old, "peft_type": "LORA"}
    hubs.commit(
        "org/lora", {"adapter_config.json": json.dumps(config).encode(), "adapter_model.safetensors": NO_WEIGHTS}
    )
    adapters, base = down_to_base(locate(f"{hub}://org/lora"))
    assert [a.name for a in adapters] == ["org/lora" if hub == "hf" else "ms://org/lora"]
    assert base.address == f"{hub}://org/base@{old}"


@pytest.mark.parametrize("hub", quick_and_slow(["ms"], ["hf"]))
def test_a_run_notes_the_commit_and_goes_on_with_it(hubs, hub, tiny, tmp_path, monkeypatch):
    commit = hubs.commit("org/good", tiny)
    rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in dialogues(9))
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
    name = "org/good" if hub == "hf" else "ms://org/good"
    words = (
        "train",
        "sft",
        f"model.base={name}",
        "data.train=[rows.jsonl]",
        "output_dir=run",
        "train.max_steps=1",
        "data.max_tokens=64",
    )
    code, said = _run(*words)
    assert code == 0, said
    run = tmp_path / "run"
    assert f"commit: {commit}" in (run / "config.resolved.yaml").read_text()
    assert json.loads((run / "manifest.json").read_text())["base"] == f"{hub}://org/good@{commit}"
    written = json.loads((run / "model" / "adapter_config.json").read_text())
    assert (written["base_model_name_or_path"], written["revision"]) == (name, commit)
    assert base_name(locate(str(run))) == f"{hub}://org/good@{commit}"
    hubs.commit("org/good", {**tiny, "more.txt": b"newer"})
    code, said = _run(*words)
    assert code == 0, said
    assert "finished already" in said
    assert f"model.base {name}: read at commit {commit}, as when this run began" in said
    _offline(monkeypatch)
    (tmp_path / "ask.jsonl").write_text('{"prompt": "Fever?"}')
    how = ("--output", "out.jsonl", "--max-new-tokens", 2)
    code, said = _run("generate", "--model", "run", "--input", "ask.jsonl", *how)
    assert code == 0, said
    code, said = _run("merge", "--model", "run", "--output", "whole")
    assert code == 0, said
    base = json.loads((tmp_path / "whole" / "lineage.json").read_text())["base"]
    assert base["name"] == name
    assert commit in base["link"] or hub == "ms"


def test_a_hubs_model_answers_as_its_folder_does(hubs, tiny, tmp_path):
    hubs.commit("org/good", tiny)
    (tmp_path / "ask.jsonl").write_text('{"prompt": "Fever?"}')
    rows = []
    for name in ("ms://org/good", "org/good", locate("ms://org/good").complete()):
        code, said = _run(
            "generate", "--model", name, "--input", "ask.jsonl", "--output", "o.jsonl", "--max-new-tokens", 4
        )
        assert code == 0, said
        rows.append((tmp_path / "o.jsonl").read_text())
        (tmp_path / "o.jsonl").unlink()
    assert rows[0] == rows[1] == rows[2]


def test_estimate_reads_no_weights(hubs, tiny):
    hubs.commit("org/good", tiny)
    code, said = _run("estimate", "--model", "ms://org/good")
    assert code == 0, said
    assert "model.safetensors" not in hubs.fetched
