"""A served tiny model: as an app within the process, and as a real server on a free port of this machine."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from medicalgpt.data.records import Message
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.generate.live.request import Piece, Request
from medicalgpt.generate.prompts import EncodedPrompt
from medicalgpt.generate.sampling import Sampling
from medicalgpt.kernels import attention
from medicalgpt.network.access import bind
from medicalgpt.network.connections import ConnectionLimits
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.serve.api.server import Server
from medicalgpt.serve.api.service import Limits, Service
from tests.tiny import tiny_model, tiny_tokenizer


def engine_of(kind: str = "llama", **extra: Any) -> Engine:
    """In float64, where the order of a batch's sums cannot turn one token into another."""
    model = tiny_model(kind, scale=8.0, **extra).double()
    attention.enable(model)
    tokenizer = tiny_tokenizer()
    return Engine(model, tokenizer, ChatTemplate.load(tokenizer))


def endless(**extra: Any) -> Engine:
    """Its answers have no end but their length."""
    engine = engine_of(**extra)
    engine.backend.stop_ids = []
    return engine


def ask(text: str) -> list[Message]:
    """A conversation of one question."""
    return [Message("user", text)]


@contextmanager
def served(engine: Engine, *, slots: int = 4, queue: int = 64, **settings: Any) -> Iterator[Service]:
    """A service called `tiny`, alias `medical/tiny`."""
    with BatchingEngine(engine, slots=slots, queue=queue) as live:
        yield Service(live, ("tiny", "medical/tiny"), **{"limits": Limits(max_tokens=300), **settings})


def says(monkeypatch: pytest.MonkeyPatch, service: Service, text: str) -> list[list[int]]:
    """Let the model answer with a text, in pieces of four characters; gives the prompts that it gets."""
    prompts: list[list[int]] = []

    def submit(
        encoded: EncodedPrompt, sampling: Sampling, sink: Any, *, n: int = 1, top: int | None = None, **more: bool
    ) -> Request:
        prompts.append(encoded.ids)
        for choice in range(n):
            for at in range(0, len(text), 4):
                sink(Piece(choice, text[at : at + 4], 5))
            sink(Piece(choice, finish="stop"))
        return Request(encoded, sampling, sink, n, top)

    monkeypatch.setattr(service.live, "submit", submit)
    return prompts


def written(service: Service, name: str, **arguments: Any) -> str:
    """A call as the model would write it."""
    used = service.live.engine.template.tool_use.format
    assert used is not None
    return used.assistant(Message("assistant", "", ({"name": name, "arguments": arguments},)))


@dataclass
class Running:
    """A server in a thread."""

    service: Service
    server: Server
    thread: threading.Thread
    url: str
    address: tuple[str, int]

    def stop(self) -> None:
        """As SIGTERM does."""
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()


@contextmanager
def running(service: Service, grace: float = 10.0, limits: ConnectionLimits | None = None) -> Iterator[Running]:
    """The service behind uvicorn on 127.0.0.1."""
    with bind("127.0.0.1", 0) as sock:
        server = Server(service, grace, limits)
        address = ("127.0.0.1", sock.getsockname()[1])
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([sock])), daemon=True)
        thread.start()
        wait_for(lambda: server.started)
        found = Running(service, server, thread, "http://{}:{}".format(*address), address)
        try:
            yield found
        finally:
            found.stop()


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    """Until it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
