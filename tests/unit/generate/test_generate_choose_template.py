"""The order in which a chat template is chosen, and what is said about it."""

import copy
import json
from pathlib import Path

import pytest
from tests.tiny import CHATML, tiny_tokenizer

from medicalgpt.errors import RenderError, ServeError
from medicalgpt.generate.choose_template import choose_template, saved_template
from medicalgpt.models.families import Architecture
from medicalgpt.models.locate import Located

QWEN = Architecture("qwen2", ("not-there-yet", "llama3", "chatml"))  # the tiny tokenizer has the tokens of chatml
SAVED = "{#- as a run saved it -#}" + CHATML


@pytest.fixture
def said() -> list[str]:
    return []


def bare():
    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.chat_template = None
    return tokenizer


def test_what_is_named_comes_before_all(said: list[str]) -> None:
    assert choose_template(tiny_tokenizer(), "alpaca", SAVED, QWEN, said.append).name == "alpaca"
    assert said == []
    with pytest.raises(RenderError, match="'alpacca' is not known"):
        choose_template(tiny_tokenizer(), "alpacca", SAVED, QWEN, said.append)


def test_the_runs_own_comes_before_the_tokenizers(said: list[str]) -> None:
    assert choose_template(tiny_tokenizer(), None, SAVED, QWEN, said.append).source == SAVED
    assert choose_template(tiny_tokenizer(), None, None, QWEN, said.append).source == CHATML
    assert said == []


def test_a_guess_is_said(said: list[str]) -> None:
    assert choose_template(bare(), None, None, QWEN, said.append).name == "chatml"
    assert choose_template(bare(), None, None, None, said.append).name == "vicuna"
    assert "taking chatml, the usual one of this family" in said[0]
    assert "taking vicuna, which suits most" in said[1]
    assert len(said) == 2


def test_the_guess_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    choose_template(bare())
    out, err = capsys.readouterr()
    assert out == ""
    assert "taking vicuna" in err


def test_nothing_suits_a_tokenizer_without_eos(said: list[str]) -> None:
    tokenizer = bare()
    tokenizer.eos_token = None
    with pytest.raises(ServeError, match="--template chatml"):
        choose_template(tokenizer, None, None, QWEN, said.append)
    assert said == []


def test_a_tool_format_is_written_into_whichever_is_chosen(said: list[str]) -> None:
    for named, saved, tokenizer in (
        ("alpaca", None, bare()),
        (None, SAVED, bare()),
        (None, None, tiny_tokenizer()),
        (None, None, bare()),
    ):
        template = choose_template(tokenizer, named, saved, QWEN, said.append, "glm4")
        assert template.tool_use.format is not None
        assert template.tool_use.format.name == "glm4"
        with pytest.raises(RenderError, match="tool format 'gml4' is not known; did you mean"):
            choose_template(tokenizer, named, saved, QWEN, said.append, "gml4")


def test_saved_is_what_lies_with_the_adapter_or_the_run(tmp_path: Path) -> None:
    adapter, run, plain = tmp_path / "adapter", tmp_path / "run" / "model", tmp_path / "plain"
    for folder in (adapter, run, plain):
        folder.mkdir(parents=True)
        (folder / "chat_template.jinja").write_text(folder.name)
    (run.parent / "manifest.json").write_text("{}")
    model, base = Located(str(run), "model"), Located(str(plain), "model")
    assert saved_template(base, Located(str(adapter), "adapter")) == "adapter"
    assert saved_template(model, None) == "model"
    assert saved_template(base, None) is None
    assert saved_template(base, Located("org/lora", "adapter")) is None
    (adapter / "chat_template.jinja").unlink()
    assert saved_template(base, Located(str(adapter), "adapter")) is None
    (adapter / "tokenizer_config.json").write_text(json.dumps({"chat_template": "inside"}))
    assert saved_template(base, Located(str(adapter), "adapter")) == "inside"
