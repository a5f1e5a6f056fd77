"""`medicalgpt demo` and gradio_demo.py: what each flag becomes. The page itself is tested in a browser."""

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medicalgpt.cli import app, demo, legacy_demo
from medicalgpt.errors import ServeError
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.sampling import Sampling
from medicalgpt.serve.web.settings import Settings


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    for module in (demo, legacy_demo):
        monkeypatch.setattr(module, "open_page", lambda *words: calls.append(words))
    return calls


def test_every_option_arrives(opened: list[Any]) -> None:
    words = "--host 0.0.0.0 --port 8000 --share --slots 2 --feedback f.jsonl --context-len 900 --system S --seed 3 --emergency CN"
    words += " --allow-host nurse.example --allow-host n2"
    words += " --max-new-tokens 9 --temperature 0 --top-p 0.5 --top-k 7 --repetition-penalty 1.1 --stop X --stop Y"
    words += " --min-p 0.1 --frequency-penalty 0.5 --presence-penalty -1"
    words += " --family llama --tokenizer t --resize-embeddings"
    words += " --adapter a --template vicuna --revision r --dtype float32 --quantization nf4 --backend vllm --trust-remote-code"
    result = CliRunner().invoke(app, ["demo", "--model", "m", *words.split()])
    assert result.exit_code == 0, result.output
    ((model, opening, settings, place),) = opened
    assert model == "m"
    assert opening == ModelOptions(
        template="vicuna",
        family="llama",
        adapter="a",
        tokenizer="t",
        resize_embeddings=True,
        revision="r",
        dtype="float32",
        quantization="nf4",
        backend="vllm",
        trust_remote_code=True,
        inference_only=True,
    )
    assert settings == {
        "system": "S",
        "max_new_tokens": 9,
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 7,
        "repetition_penalty": 1.1,
        "seed": 3,
        "stop": ("X", "Y"),
        "min_p": 0.1,
        "frequency_penalty": 0.5,
        "presence_penalty": -1.0,
    }
    assert Settings(**settings).sampling(0) == Sampling(
        9, 0.0, 0.5, 7, 1.1, 3, ("X", "Y"), min_p=0.1, frequency_penalty=0.5, presence_penalty=-1.0
    )
    assert place == {
        "host": "0.0.0.0",
        "port": 8000,
        "share": True,
        "slots": 2,
        "context": 900,
        "keep": None,
        "feedback": Path("f.jsonl"),
        "emergency": "CN",
        "allow_host": ("nurse.example", "n2"),
    }


def test_nothing_is_shared_or_kept_unless_asked_for(opened: list[Any]) -> None:
    assert CliRunner().invoke(app, ["demo", "--model", "m"]).exit_code == 0
    place = opened[0][3]
    assert (place["host"], place["share"], place["feedback"]) == ("127.0.0.1", False, None)


def test_a_wrong_setting_ends_before_anything_is_loaded() -> None:
    result = CliRunner().invoke(app, ["demo", "--model", "/gone", "--top-p", "0"])
    assert result.exit_code == 2
    assert "top_p is 0.0; allowed: above 0" in result.stderr


def test_a_wrong_region_ends_before_anything_is_loaded() -> None:
    result = CliRunner().invoke(app, ["demo", "--model", "/gone", "--emergency", "Atlantis"])
    assert result.exit_code == 2
    assert "allowed: CN, TW, HK" in result.stderr


def test_the_long_standing_flags(opened: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    words = "--model_type qwen --base_model B --lora_model L --tokenizer_path T --template_name vicuna --resize_emb"
    words += " --load_in_4bit --only_cpu --system_prompt S --temperature 0 --repetition_penalty 1.2 --stop_str X"
    words += " --context_len 99 --max_new_tokens 5 --share --port 81 --host 0.0.0.0 --emergency TW"
    legacy_demo.gradio_demo(words.split())
    ((model, opening, settings, place),) = opened
    assert model == "B"
    assert opening == ModelOptions(
        adapter="L",
        template="vicuna",
        family="qwen",
        tokenizer="T",
        resize_embeddings=True,
        quantization="nf4",
        trust_remote_code=False,
        inference_only=True,
    )
    assert settings == {
        "system": "S",
        "max_new_tokens": 5,
        "temperature": 0.0,
        "repetition_penalty": 1.2,
        "stop": ("X",),
    }
    assert place == {"host": "0.0.0.0", "port": 81, "share": True, "context": 99, "emergency": "TW"}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_an_unknown_flag_is_named(opened: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        legacy_demo.gradio_demo(["--base_model", "B", "--lora_modl", "L"])
    assert ended.value.code == 2
    assert "--lora_modl is no flag of gradio_demo.py; did you mean '--lora_model'" in capsys.readouterr().err
    assert opened == []


def test_an_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*words: Any) -> None:
        raise ServeError("port 81 is in use")

    monkeypatch.setattr(legacy_demo, "open_page", fail)
    with pytest.raises(SystemExit) as ended:
        legacy_demo.gradio_demo(["--base_model", "B"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("error: port 81 is in use\n")
