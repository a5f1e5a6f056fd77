"""vLLM's own batching behind the live worker: answers join and leave between two of its steps (a stand-in)."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving import wait_for
from tests.tiny import save_tiny
from tests.unit.generate.test_generate_live import News
from tests.vllm_core import Core, stand_in

from medicalgpt.data.records import Message
from medicalgpt.errors import BusyError, LostError, ServeError
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.generate.sampling import Sampling


def ask(text: str) -> list[Message]:
    return [Message("user", text)]


class Gated(Core):
    """Steps when it is told to, and can fail or refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Semaphore(0)
        self.free = self.broken = False
        self.sizes: list[int] = []

    def add_request(self, name: str, prompt: Any, params: Any, lora_request: Any = None) -> str:
        if params.max_tokens == 13:
            raise ValueError("max_tokens is unlucky")
        return super().add_request(name, prompt, params, lora_request)

    def step(self) -> list[Any]:
        if not self.free:
            assert self.gate.acquire(timeout=30)
        if self.broken:
            self.broken = False
            raise RuntimeError("device lost")
        self.sizes.append(len(self.requests))
        return super().step()


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> Gated:
    found = stand_in(monkeypatch, Gated())
    assert isinstance(found, Gated)
    return found


@pytest.fixture
def live(core: Gated, tmp_path: Path) -> Iterator[BatchingEngine]:
    engine = Engine.open(str(save_tiny(tmp_path)), backend="vllm")
    with BatchingEngine(engine, slots=2) as live:
        yield live
        core.free = True
        core.gate.release(100)


def texts(news: News) -> str:
    return "".join(piece.text for piece in news.pieces)


def test_an_answer_joins_while_others_are_under_way(live: BatchingEngine, core: Gated) -> None:
    first, second, third = News(), News(), News()
    live.submit(ask("a"), Sampling(8), first)
    core.gate.release()
    wait_for(lambda: core.sizes)
    live.submit(ask("a longer question"), Sampling(4), second)
    live.submit(ask("b"), Sampling(6), third)
    core.gate.release(100)
    for news in (first, second, third):
        news.wait()
        assert news.pieces[-1].finish == "length"
    assert core.sizes[0] == 1
    assert 2 in core.sizes, "the second joined before the first was done"
    assert core.most == 2, "the third waited for a slot"
    whole = Engine(None, live.engine.tokenizer, live.engine.template, {}, loaded=live.engine.backend)  # type: ignore[arg-type]
    core.free = True
    for news, text, count in ((first, "a", 8), (second, "a longer question", 4), (third, "b", 6)):
        assert texts(news) == whole.generate([ask(text)], Sampling(count))[0].text


def test_who_leaves_makes_room_and_is_taken_out(live: BatchingEngine, core: Gated) -> None:
    gone, stays, waits = News(), News(), News()
    request = live.submit(ask("a"), Sampling(40), gone)
    live.submit(ask("b"), Sampling(6), stays)
    live.submit(ask("c"), Sampling(2), waits)
    request.cancel()
    core.gate.release(100)
    stays.wait(), waits.wait()
    assert len(core.aborted) <= 1
    assert not core.requests, "nothing is left that nobody waits for"
    assert not gone.pieces or gone.pieces[-1].finish is None


def test_a_stop_text_ends_an_answer_in_the_middle_of_a_step(live: BatchingEngine, core: Gated) -> None:
    core.free = True
    core.gate.release(100)
    plain, cut = News(), News()
    live.submit(ask("a"), Sampling(20), plain)
    plain.wait()
    stop = texts(plain)[3:5]
    live.submit(ask("a"), Sampling(20, stop=(stop,)), cut)
    cut.wait()
    assert texts(cut) == texts(plain)[: texts(plain).index(stop)]
    assert cut.pieces[-1].finish == "stop"
    assert len(core.aborted) == 1
    assert not core.requests


def test_a_refusal_ends_one_request_and_a_failure_those_under_way(live: BatchingEngine, core: Gated) -> None:
    refused, lost, after = News(), News(), News()
    live.submit(ask("a"), Sampling(13), refused)
    refused.wait()
    assert isinstance(refused.error, ServeError)
    assert "vLLM does not take this request: max_tokens is unlucky" in str(refused.error)
    core.broken = True
    live.submit(ask("a"), Sampling(8), lost)
    core.gate.release()
    lost.wait()
    assert str(lost.error) == "the model failed on this request (RuntimeError); the server goes on"
    assert not core.requests
    live.submit(ask("a"), Sampling(4), after)
    core.gate.release(100)
    assert after.wait().pieces[-1].finish == "length"


def test_an_engine_that_has_ended_ends_all_answers_and_takes_no_more(live: BatchingEngine, core: Gated) -> None:
    news = [News(), News(), News()]
    for one in news:
        live.submit(ask("a"), Sampling(8), one)
    core.gate.release()
    wait_for(lambda: core.sizes)
    core.dead = True
    core.gate.release(100)
    for one in news:
        one.wait()
        assert isinstance(one.error, LostError)
        assert "vLLM's engine has ended" in str(one.error)
    wait_for(lambda: live.broken)
    assert live.drain(0), "nothing is left to wait for"
    with pytest.raises(BusyError, match="shutting down"):
        live.submit(ask("a"), Sampling(8), News())


def test_an_engine_that_ended_while_nobody_asked(live: BatchingEngine, core: Gated) -> None:
    core.dead = True
    news = News()
    live.submit(ask("a"), Sampling(8), news)
    news.wait()
    assert isinstance(news.error, LostError)
    wait_for(lambda: live.broken)


def test_a_worker_that_is_closed_is_not_broken(core: Gated, tmp_path: Path) -> None:
    with BatchingEngine(Engine.open(str(save_tiny(tmp_path)), backend="vllm")) as live:
        pass
    assert not live.broken
