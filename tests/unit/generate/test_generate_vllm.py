"""The vLLM backend against a stand-in with vLLM's interface."""

import multiprocessing
import sys
import time
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest
from tests.tiny import save_tiny, tiny_model
from tests.vllm_core import Core, stand_in

from medicalgpt.data.records import Message
from medicalgpt.errors import LostError, ServeError
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling

PROMPT = [Message("user", "fever?")]


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> Core:
    return stand_in(monkeypatch, Core())


def test_completions_come_back_in_order_and_no_more_than_asked_at_a_time(core: Core, tmp_path: Path) -> None:
    engine = Engine.open(str(save_tiny(tmp_path)), backend="vllm")
    assert engine.context == 64
    found = engine.complete([[9] * 20, [9] * 10], Sampling(5, temperature=0.5, top_k=3), n=3, batch_size=2)
    assert found == [[[21, 22, 23, 24, 25]] * 3, [[11, 12, 13, 14, 15]] * 3]
    assert core.most == 2
    params = [given for given, _ in core.given]
    assert len({p.seed for p in params}) == 6
    assert all((p.temperature, p.top_k, p.top_p, p.ignore_eos) == (0.5, 3, 1.0, True) for p in params)
    assert set(params[0].stop_token_ids) == {0, 2}  # the document end and the template's


def test_settings_that_came_later_are_passed_on_where_they_say_something(core: Core, tmp_path: Path) -> None:
    engine = Engine.open(str(save_tiny(tmp_path)), backend="vllm")
    named = {"min_p": 0.1, "frequency_penalty": 0.5, "presence_penalty": -1.0}
    engine.complete([[9] * 5], Sampling(5, **named, logit_bias=((7, 2.0), (8, -100.0))))  # type: ignore[arg-type]
    engine.complete([[9] * 5], Sampling(5))
    first, second = (vars(given) for given, _ in core.given)
    assert {name: first[name] for name in named} == named
    assert first["logit_bias"] == {7: 2.0, 8: -100.0}
    assert not {"logit_bias", *named} & second.keys()


def test_a_row_ends_where_it_is_told_to(core: Core, tmp_path: Path) -> None:
    backend = Engine.open(str(save_tiny(tmp_path)), backend="vllm").backend
    found = backend.run([[9] * 20, [9] * 3], Sampling(9), [[0], [0]], batch_size=2, ends=lambda row, token: token == 23)
    assert found == [[[21, 22, 23]], [[4, 5, 6, 7, 8, 9, 10, 11, 12]]]
    assert core.aborted == ["0"]

    def broken(row: int, token: int) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backend.run([[9] * 20], Sampling(9), [[0]], ends=broken)
    assert not core.requests


def test_the_stream_and_stop_texts_go_the_same_way(core: Core, tmp_path: Path) -> None:
    engine = Engine.open(str(save_tiny(tmp_path)), backend="vllm")
    whole = engine.generate([PROMPT], Sampling(20))[0]
    assert "".join(engine.stream(PROMPT, Sampling(20))) == whole.text
    cut = engine.generate([PROMPT], Sampling(20, stop=(whole.text[2:4],)))[0]
    assert cut.text == whole.text[: whole.text.index(whole.text[2:4])]


def test_an_adapter_is_passed_on_with_a_rank_that_vllm_takes(core: Core, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    base = save_tiny(tmp_path / "base")
    adapted = get_peft_model(tiny_model(), LoraConfig(r=12, target_modules="all-linear"))
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(tmp_path / "adapter")
    Engine.open(str(tmp_path / "adapter"), backend="vllm").complete([[5, 6]], Sampling(2))
    assert core.options["max_lora_rank"] == 16
    assert core.given[0][1] == ("adapter", 1, str(tmp_path / "adapter"))


def test_what_cannot_be_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)  # importing it fails
    folder = str(save_tiny(tmp_path))
    with pytest.raises(ServeError, match=r"pip install 'medicalgpt\[vllm\]'"):
        Engine.open(folder, backend="vllm")
    with pytest.raises(ServeError, match="quantization=int8"):
        Engine.open(folder, backend="vllm", quantization="int8")


def test_an_engine_that_has_ended(core: Core, tmp_path: Path) -> None:
    backend = Engine.open(str(save_tiny(tmp_path)), backend="vllm").backend
    core.dead = True
    with pytest.raises(LostError, match="vLLM's engine has ended"):
        backend.run([[9] * 20], Sampling(9), [[0]])


def test_an_engine_that_is_killed_while_it_is_waited_for(
    core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM's step waits for what its engine's process says, and a killed one says nothing."""
    engine = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    said: Queue[Exception] = Queue()

    def step() -> list[Any]:
        engine.kill()
        raise said.get(timeout=30)

    monkeypatch.setattr(core, "step", step)
    monkeypatch.setattr(core, "engine_core", SimpleNamespace(outputs_queue=said), raising=False)
    monkeypatch.setattr(core, "begin", engine.start)
    backend = Engine.open(str(save_tiny(tmp_path)), backend="vllm").backend
    with pytest.raises(LostError, match="vLLM's engine has ended"):
        backend.run([[9] * 20], Sampling(9), [[0]])
    engine.join()
