"""Finding a model by name, folder, run folder or Hub id, and refusing what is not safe to load."""

import json
from typing import ClassVar

import pytest
from tests.hubs import Answering, online
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
    assert "org/name" in str(caught.value)


FILES: dict[str, dict[str, object]] = {
    "org/good": {"config.json": {"model_type": "llama"}, "model.safetensors": {}},
    "org/adapter": {"adapter_config.json": {}, "adapter_model.safetensors": {}},
    "org/code": {"config.json": {"auto_map": {"AutoModel": "x.Y"}}, "model.safetensors": {}},
    "org/pickle": {"config.json": {}, "pytorch_model.bin": {}},
    "org/data": {"train.csv": {}},
    "org/gated": {"config.json": {}, "model.safetensors": {}},
}


class _Hub(Answering):
    """The two calls of the Hub's API that are used, and a record of the tokens they came with."""

    tokens: ClassVar[list[str | None]] = []

    def do_GET(self):
        self.tokens.append(self.headers.get("Authorization"))
        parts = self.path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            files = FILES.get("/".join(parts[2:4]))
            if files is None:
                return self.answer(401, b"{}", **{"X-Error-Code": "RepoNotFound"})
            if "gated" in parts[3]:
                return self.answer(403, b"{}", **{"X-Error-Code": "GatedRepo"})
            info = {"id": "/".join(parts[2:4]), "sha": "0" * 40, "siblings": [{"rfilename": f} for f in files]}
            return self.answer(200, json.dumps(info).encode())
        body = json.dumps(FILES["/".join(parts[:2])][parts[4]]).encode()
        return self.answer(200, body, **{"X-Repo-Commit": "0" * 40, "ETag": '"e"'})

    do_HEAD = do_GET


@pytest.fixture
def hub(tmp_path, monkeypatch):
    _Hub.tokens.clear()
    with online(_Hub, tmp_path, monkeypatch):
        yield _Hub


def test_hub_models_and_adapters(hub):
    assert locate("org/good", revision="main") == Located("org/good", "hub", "main")
    assert locate("org/adapter") == Located("org/adapter", "hub-adapter")
    assert locate("org/code", trust_remote_code=True).kind == "hub"


@pytest.mark.parametrize(
    ("repo", "message"),
    [
        ("org/code", r"ships Python code.*model\.trust_remote_code=true"),
        ("org/pickle", r"pytorch_model\.bin: pickle files"),
        ("org/data", "it is not a model"),
        ("org/gated", "is gated: accept its terms"),
        ("org/missing", "does not exist or is private"),
    ],
)
def test_hub_models_that_are_refused(hub, repo, message):
    with pytest.raises(ModelError, match=message):
        locate(repo)


def test_a_mistyped_folder_that_looks_like_a_hub_id_is_suggested(hub, tmp_path):
    _folder(tmp_path / "runs" / "sft")
    with pytest.raises(ModelError, match=r"runs/sftt does not exist.*did you mean runs/sft\?"):
        locate("runs/sftt")


def test_the_token_comes_from_the_environment_alone_and_is_never_shown(hub, monkeypatch):
    locate("org/good")
    assert set(hub.tokens) == {None}
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(ModelError) as caught:
        locate("org/missing")
    assert "Bearer hf_secret" in hub.tokens
    assert "hf_secret" not in str(caught.value)


def test_offline_uses_the_hubs_cache_and_names_it_when_empty(tmp_path, monkeypatch):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(ModelError, match=r"not in the local Hub cache.*HF_HUB_OFFLINE"):
        locate("org/good")
    repo = tmp_path / "hub" / "models--org--good"
    _folder(repo / "snapshots" / ("0" * 40), "config.json", "model.safetensors")
    _folder(repo / "refs")
    (repo / "refs" / "main").write_text("0" * 40)
    assert locate("org/good") == Located("org/good", "hub")


def test_an_unreachable_hub_is_one_clear_line(tmp_path, monkeypatch):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(ModelError, match="Hub repository org/good cannot be reached"):
        locate("org/good")
