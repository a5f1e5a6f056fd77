"""Nobody waits: what was asked for is neither prepared nor answered any further. Counted in renderings and tokens."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.serving import ask, endless, engine_of, served, wait_for
from tests.tiny import CHATML, tiny_tokenizer

from medicalgpt.data.records import Message
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.unwanted import UnwantedError, go_on, unless
from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.service import Service
from medicalgpt.serve.web.info import ModelInfo
from medicalgpt.serve.web.served import ServedModel
from medicalgpt.serve.web.session import Session
from medicalgpt.serve.web.settings import Settings
from medicalgpt.serve.web.texts import ENGLISH

# It numbers its turns, so that every one of them is rendered by itself.
NUMBERED = CHATML.replace("message['role'] +", "message['role'] + (loop.index | string if loop.index % 2 else '') +")
TURNS = [{"role": role, "content": f"{role} says a word"} for role in ("user", "assistant") * 60]
LONG = [*TURNS, {"role": "user", "content": "And now?"}]


def leaves(service: Service, asked: dict[str, Any], when: Callable[[Callable[[], object]], object]) -> list[Any]:
    """Ask, and be gone as soon as `when` calls what it is given; gives what was sent until then."""
    sent: list[Any] = []

    async def exchange() -> None:
        gone, loop = asyncio.Event(), asyncio.get_running_loop()
        when(lambda: str(loop.call_soon_threadsafe(gone.set)))
        body = [{"type": "http.request", "body": json.dumps(asked).encode(), "more_body": False}]

        async def receive() -> Any:
            if body:
                return body.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
        scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80)}
        await asyncio.wait_for(create_app(service)(scope, receive, send), 60)

    asyncio.run(exchange())
    return sent


def paused(template: ChatTemplate, monkeypatch: pytest.MonkeyPatch, at: int) -> tuple[list[int], Any, threading.Event]:
    """Renderings; a call made at the one numbered `at`, which then waits for the event."""
    seen: list[int] = []
    told: list[Callable[[], object]] = []
    released = threading.Event()
    render = template._apply

    def apply(turns: Any, *more: Any) -> str:
        seen.append(len(turns))
        if len(seen) == at:
            told[0]()
            assert released.wait(60)
        return render(turns, *more)

    monkeypatch.setattr(template, "_apply", apply)
    return seen, told.append, released


def numbered() -> Engine:
    engine = engine_of()
    engine.template = ChatTemplate.of_text(tiny_tokenizer(), NUMBERED, "numbered")
    return engine


@pytest.mark.parametrize("streaming", [False, True])
def test_the_preparation_of_a_long_conversation_ends(streaming: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = numbered()
    engine.prepare(ask("a fever?"), Sampling(4))  # what is looked for once
    seen, when, released = paused(engine.template, monkeypatch, at=7)
    with served(engine) as service:
        sent = leaves(service, {"model": "tiny", "messages": LONG, "stream": streaming, "max_tokens": 4}, when)
        released.set()
        service.readers.shutdown(wait=True)
        assert len(seen) == 7
        assert service.live.load.tokens == service.live.load.prompt_tokens == 0
        assert service.room.requests == 0
    assert not sent


def test_it_would_have_gone_on(monkeypatch: pytest.MonkeyPatch) -> None:
    template = numbered().template
    seen, _, _ = paused(template, monkeypatch, at=10**9)
    template.prompt_ids([Message(turn["role"], turn["content"]) for turn in LONG])  # type: ignore[arg-type]
    assert len(seen) > 100


@pytest.mark.parametrize("streaming", [False, True])
def test_decoding_ends(streaming: bool) -> None:
    with served(endless()) as service:

        def when(leave: Callable[[], object]) -> None:
            threading.Thread(target=lambda: (wait_for(lambda: service.live.load.tokens > 3), leave())).start()

        leaves(service, {"model": "tiny", "messages": LONG[-1:], "stream": streaming, "max_tokens": 300}, when)
        wait_for(lambda: not (service.live.load.active or service.live.load.waiting))
        assert service.live.load.tokens < 300
        assert service.room.answers == 0


def test_the_page_stops_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = numbered()
    with BatchingEngine(engine, slots=1, queue=1) as live:
        info = ModelInfo("m", "b", "", (), "", "", (), 512, "", "chatml")
        session = Session([ServedModel("m", live, 512, info)], None, ENGLISH)
        steps = session.ask("A fever?", Settings(temperature=0.0, max_new_tokens=4))
        next(steps)
        session.stop()
        seen, _, _ = paused(engine.template, monkeypatch, at=10**9)
        list(steps)
        assert not seen
        assert session.status == session.texts.stopped
        assert session.draft == "A fever?"


def test_only_what_was_asked_within_the_block_ends() -> None:
    go_on()
    with unless(lambda: False):
        go_on()
    with pytest.raises(UnwantedError), unless(lambda: True):
        go_on()
    go_on()
