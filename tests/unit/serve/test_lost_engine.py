"""A server whose engine ends by itself, as one that the system kills for want of memory: it ends, too, and says so."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving import running, wait_for
from tests.tiny import save_tiny
from tests.vllm_core import Core, stand_in
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.server import Server
from medicalgpt.serve.api.service import Service

fastapi = pytest.importorskip("fastapi.testclient")
ASKED = {"model": "tiny", "messages": [{"role": "user", "content": "a"}], "max_tokens": 4}


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> Core:
    return stand_in(monkeypatch, Core())


@pytest.fixture
def service(core: Core, tmp_path: Path) -> Iterator[Service]:
    with BatchingEngine(Engine.open(str(save_tiny(tmp_path)), backend="vllm")) as live:
        yield Service(live, ("tiny",), local_only=False)


def test_what_clients_and_proxies_are_told(service: Service, core: Core) -> None:
    client = fastapi.TestClient(create_app(service))
    assert client.post("/v1/chat/completions", json=ASKED).status_code == 200
    core.dead = True
    found = client.post("/v1/chat/completions", json=ASKED)
    assert found.status_code == 500
    assert "vLLM's engine has ended" in found.json()["error"]["message"]
    wait_for(lambda: service.live.broken)
    health = client.get("/health")
    assert (health.status_code, health.json()) == (503, {"status": "stopping", "active": 0, "waiting": 0})


def test_the_server_ends_at_once_whatever_it_would_wait_for(service: Service, core: Core) -> None:
    with running(service, grace=600.0) as server:
        server.server.drain = 600.0
        core.dead = True
        assert fastapi.TestClient(create_app(service)).post("/v1/chat/completions", json=ASKED).status_code == 500
        server.thread.join(30)
        assert not server.thread.is_alive()


def test_the_command_fails(core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(server: Server, sockets: Any) -> None:
        server.service.live.broken = True

    monkeypatch.setattr(Server, "run", ends)
    found = CliRunner().invoke(app, ["serve", "--model", str(save_tiny(tmp_path)), "--backend", "vllm", "--port", "0"])
    assert found.exit_code != 0
    assert "the model's engine ended by itself" in f"{found.output}{found.exception}"
