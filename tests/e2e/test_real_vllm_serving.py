"""`medicalgpt serve --backend vllm` by vLLM itself, on this machine's processor; tests/vllm_core.py stands in for it elsewhere."""

import json
import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.real_vllm import Server, answering, needs_vllm
from tests.serving import wait_for
from tests.tiny import save_tiny

from medicalgpt.data.records import Message
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling

pytestmark = [pytest.mark.slow, needs_vllm]
QUESTION = "What is a fever?"
# No stop token: an answer has its full length.
ENDLESS = {"logit_bias": {"0": -100, "2": -100}}


def _adapter(base: Path, folder: Path, rank: int) -> Path:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(rank)
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=rank, target_modules="all-linear")
    )
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.1)
    adapted.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Heads as wide as vLLM's kernels for processors want them (32), and room for answers that take seconds."""
    folder = tmp_path_factory.mktemp("vllm")
    base = save_tiny(folder / "base", hidden_size=128, initializer_range=0.2, max_position_embeddings=4096)
    return {"base": base} | {name: _adapter(base, folder / name, rank) for name, rank in (("one", 4), ("two", 12))}


@pytest.fixture(scope="module")
def server(places: dict[str, Path]) -> Iterator[Server]:
    named = [f"--named-adapter={name}={places[name]}" for name in ("one", "two")]
    with answering(places["base"], places["base"].parent / "log", "--slots", "8", *named) as found:
        yield found


def _open(server: Server, **fields: Any) -> Any:
    body = {"model": "base", "messages": [{"role": "user", "content": QUESTION}], "temperature": 0, **fields}
    request = urllib.request.Request(
        f"{server.url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return urllib.request.urlopen(request, timeout=120)


def _ask(server: Server, **fields: Any) -> dict[str, Any]:
    with _open(server, **fields) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _text(found: dict[str, Any]) -> str:
    return str(found["choices"][0]["message"]["content"])


def _active(server: Server) -> int:
    with urllib.request.urlopen(f"{server.url}/health", timeout=30) as answer:
        return int(json.load(answer)["active"])


def test_base_and_adapters_answer_as_with_our_decoder(server: Server, places: dict[str, Path]) -> None:
    found = {name: _text(_ask(server, model=name, max_tokens=24)) for name in places}
    assert len(set(found.values())) == 3
    for name, place in places.items():
        own = Engine.open(str(place), dtype="float32").generate([[Message("user", QUESTION)]], Sampling(24))
        assert own[0].text == found[name], name


def test_streams_stops_seeds_and_many_at_once(server: Server) -> None:
    whole = _ask(server, model="one", max_tokens=40)
    with _open(server, model="one", max_tokens=40, stream=True) as answer:
        said = [json.loads(line[6:]) for line in answer.read().decode().splitlines() if line.startswith("data: {")]
    assert "".join(one["choices"][0]["delta"].get("content") or "" for one in said if one["choices"]) == _text(whole)
    stop = _text(whole)[10:13]
    cut = _ask(server, model="one", max_tokens=40, stop=[stop])
    assert _text(cut) == _text(whole)[: _text(whole).index(stop)]
    assert cut["choices"][0]["finish_reason"] == "stop"
    drawn = [_text(_ask(server, temperature=1, seed=seed, max_tokens=24)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    counts: list[int] = []
    asks = [
        threading.Thread(
            target=lambda name: counts.append(
                _ask(server, model=name, max_tokens=200, temperature=1, **ENDLESS)["usage"]["completion_tokens"]
            ),
            args=(("base", "one", "two")[number % 3],),
        )
        for number in range(12)
    ]
    for one in asks:
        one.start()
    for one in asks:
        one.join()
    assert counts == [200] * 12


def test_a_client_who_leaves_takes_its_answer_along(server: Server) -> None:
    body = {"model": "two", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 2000, "stream": True}
    text = json.dumps(body | ENDLESS).encode()
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as client:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
        client.sendall(head.encode() + b"\r\n\r\n" + text)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        wait_for(lambda: _active(server) == 1)
    wait_for(lambda: _active(server) == 0, 1.5)  # whole, it would take longer


def test_ctrl_c_lets_answers_finish_and_leaves_no_process(server: Server) -> None:
    with _open(server, model="one", max_tokens=1500, stream=True, **ENDLESS) as answer:
        pieces = [answer.readline()]
        os.killpg(server.process.pid, signal.SIGINT)  # as a terminal does
        pieces += answer.readlines()
    assert pieces[-2].strip() == b"data: [DONE]"
    assert b'"finish_reason":"length"' in b"".join(pieces)
    assert server.process.wait(60) == 0
    wait_for(lambda: not server.processes())


def test_a_killed_engine_ends_answers_and_server(places: dict[str, Path], tmp_path: Path) -> None:
    with answering(places["base"], tmp_path / "log") as server:
        with _open(server, max_tokens=2000, stream=True, **ENDLESS) as answer:
            answer.readline()
            os.kill(server.processes()["VLLM::EngineCore"], signal.SIGKILL)
            assert b"vLLM's engine has ended" in answer.read()
        assert server.process.wait(60) == 2
        wait_for(lambda: not server.processes())
    assert "the model's engine ended by itself" in (tmp_path / "log").read_text()


def test_an_adapter_that_does_not_fit(places: dict[str, Path], tmp_path: Path) -> None:
    narrow = save_tiny(tmp_path / "narrow", hidden_size=64)
    _adapter(narrow, tmp_path / "adapter", 4)
    with (
        pytest.raises(AssertionError, match="is no adapter of"),
        answering(places["base"], tmp_path / "log", "--named-adapter", f"odd={tmp_path / 'adapter'}"),
    ):
        pass
