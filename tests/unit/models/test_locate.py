"""Finding a model by name, folder, run folder or Hub id, and refusing what is not safe to load."""

import json

import pytest
from tests.tiny import NO_WEIGHTS

from medicalgpt.errors import ModelError
from medicalgpt.models import locate as module
from medicalgpt.models.locate import Located, locate


@pytest.fixture(autouse=True)
def _clean_place(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def _folder(path, *names, config=None):
    path.mkdir(parents=True)
    for name in names:
        (path / name).write_bytes(NO_WEIGHTS if name.endswith(".safetensors") else b"{}")
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    return path


def test_an_embedded_model_is_pulled_on_first_use(monkeypatch):
    pulled = []
    monkeypatch.setattr(module, "pull", lambda model: pulled.append(model.name) or "/cache/models/smollm2-135m")
    assert locate("smollm2-135m") == Located("/cache/models/smollm2-135m", "embedded")
    assert pulled == ["smollm2-135m"]


def test_an_embedded_model_with_terms_is_not_pulled_by_itself():
    with pytest.raises(ModelError, match=r"Gemma Terms of Use.*models pull gemma3-270m --accept-license"):
        locate("gemma3-270m")


def test_model_and_adapter_folders(tmp_path):
    full = _folder(tmp_path / "full", "config.json", "model-00001-of-00002.safetensors")
    adapter = _folder(tmp_path / "adapter", "adapter_config.json", "adapter_model.safetensors")
    assert locate(str(full)) == Located(str(full), "model")
    assert locate(str(adapter)) == Located(str(adapter), "adapter")


def test_a_finished_run_gives_its_model(tmp_path):
    run = _folder(tmp_path / "run", "manifest.json", "config.resolved.yaml")
    model = _folder(run / "model", "adapter_config.json", "adapter_model.safetensors")
    assert locate(str(run)) == Located(str(model), "adapter")


def test_a_local_folder_named_like_an_embedded_model_is_reached_by_path(tmp_path):
    _folder(tmp_path / "smollm2-135m", "config.json", "model.safetensors")
    assert locate("./smollm2-135m").kind == "model"


def test_an_unfinished_run_says_how_to_finish_it(tmp_path):
    run = _folder(tmp_path / "run", "config.resolved.yaml", "metrics.jsonl")
    with pytest.raises(ModelError, match=r"unfinished run.*same train command again"):
        locate(str(run))


def test_a_run_without_its_model_is_refused(tmp_path):
    run = _folder(tmp_path / "run", "manifest.json")
    with pytest.raises(ModelError, match=r"its model/ is gone"):
        locate(str(run))


@pytest.mark.parametrize("names", [("config.json", "pytorch_model.bin"), ("adapter_config.json", "adapter_model.bin")])
def test_pickled_weights_are_refused(tmp_path, names):
    folder = _folder(tmp_path / "m", *names)
    with pytest.raises(ModelError, match=rf"{names[1]}: pickle files can run code.*safetensors"):
        locate(str(folder))


def test_a_folder_without_weights_is_refused(tmp_path):
    folder = _folder(tmp_path / "m", "config.json", "tokenizer.json")
    with pytest.raises(ModelError, match=r"no \*\.safetensors; found: config\.json, tokenizer\.json"):
        locate(str(folder))


def test_remote_code_runs_only_when_asked_for(tmp_path):
    folder = _folder(tmp_path / "m", "model.safetensors", config={"auto_map": {"AutoModel": "x.Y"}})
    with pytest.raises(ModelError, match=r"model\.trust_remote_code=true"):
        locate(str(folder))
    assert locate(str(folder), trust_remote_code=True).kind == "model"


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_config_is_named(tmp_path, text):
    folder = _folder(tmp_path / "m", "model.safetensors")
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"m/config\.json.*copy the model again"):
        locate(str(folder))


def test_folders_and_files_that_are_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"is not a model: it needs .*; found: a\.txt"):
        locate(str(_folder(tmp_path / "m", "a.txt")))
    with pytest.raises(ModelError, match="is a file; give the folder"):
        locate(str(tmp_path / "m" / "a.txt"))


@pytest.mark.parametrize(
    ("given", "hint"),
    [("smolm2-135m", "smollm2-135m"), ("SmolLM2-135M", "smollm2-135m"), ("./runs/sfft", "runs/sft"), ("gpt2", None)],
)
def test_near_misses_are_suggested(tmp_path, given, hint):
    _folder(tmp_path / "runs" / "sft")
    with pytest.raises(ModelError, match=f"no model '{given}'") as caught:
        locate(given)
    assert ("did you mean" in str(caught.value)) == (hint is not None)
    assert hint is None or hint in str(caught.value)
    assert "owner/name" in str(caught.value)
