"""Many askers of one model: the same answers as alone, none lost, none mixed up."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.tiny import tiny_model, tiny_tokenizer

from medicalgpt.data.records import Message
from medicalgpt.errors import BusyError, ServeError
from medicalgpt.generate.backends.decoder.pool import Pool
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.generate.live.request import Piece
from medicalgpt.generate.sampling import Sampling
from medicalgpt.kernels import attention
from medicalgpt.rendering.template import ChatTemplate

LATER: list[dict[str, Any]] = [
    {},
    {"frequency_penalty": 1.5},
    {"presence_penalty": 2.0, "min_p": 0.05},
    {"logit_bias": ((9, 4.0), (12, -100.0)), "repetition_penalty": 1.3},
]
QUESTIONS = ["What is a fever?", "高血壓的症狀?", "How is high blood pressure treated?", "A fever", "糖尿病", "a", "bb"]


def engine_of(kind: str = "llama", **extra: Any) -> Engine:
    """In float64, where the order of a batch's sums cannot turn one token into another."""
    model = tiny_model(kind, scale=8.0, **extra).double()
    attention.enable(model)
    tokenizer = tiny_tokenizer()
    return Engine(model, tokenizer, ChatTemplate.load(tokenizer))


def ask(text: str) -> list[Message]:
    return [Message("user", text)]


class News:
    """Everything a request was told."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.error: Exception | None = None
        self.changed = threading.Condition()

    def __call__(self, item: Piece | Exception) -> None:
        with self.changed:
            if isinstance(item, Exception):
                self.error = item
            else:
                self.pieces.append(item)
            self.changed.notify_all()

    def wait(self, answers: int = 1) -> "News":
        """Until so many answers are complete, or an error came."""
        with self.changed:
            done = self.changed.wait_for(lambda: self.error or sum(bool(p.finish) for p in self.pieces) >= answers, 60)
        assert done, "no end came"
        return self

    def texts(self) -> dict[int, str]:
        found: dict[int, str] = defaultdict(str)
        for piece in self.pieces:
            found[piece.choice] += piece.text
        return dict(found)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_of()


@pytest.fixture(scope="module", params=["llama", "bloom"])
def either(request: pytest.FixtureRequest) -> Engine:
    """An engine that decodes by slots, and one whose backend generates whole batches."""
    return engine_of(request.param)


@pytest.fixture
def live(engine: Engine) -> Iterator[BatchingEngine]:
    with BatchingEngine(engine, slots=3) as found:
        yield found


def test_askers_of_different_settings_get_what_they_would_get_alone(either: Engine) -> None:
    settings = [
        Sampling(5 + 3 * i, temperature=0.9 * (i % 3), top_k=20 * (i % 2), seed=i, **LATER[i % len(LATER)])
        for i in range(len(QUESTIONS))
    ]
    expected = [either.generate([ask(q)], s)[0] for q, s in zip(QUESTIONS, settings)]
    with BatchingEngine(either, slots=3) as live:
        all_news = [News() for _ in QUESTIONS]
        for question, sampling, news in zip(QUESTIONS, settings, all_news):
            live.submit(ask(question), sampling, news)
        for news, completion in zip(all_news, expected):
            news.wait()
            assert news.error is None
            assert news.texts() == {0: completion.text}
            assert news.pieces[-1].finish == ("stop" if completion.stopped else "length")
            kept = completion.token_ids[:-1] if completion.token_ids[-1] in either.stop_ids else completion.token_ids
            assert [p.token for p in news.pieces if p.token is not None] == kept


def test_several_answers_to_one_prompt_have_seeds_of_their_own(engine: Engine) -> None:
    sampling = Sampling(8, temperature=1.0, seed=4)
    expected = engine.complete([engine.prepare(ask("A fever"), sampling).ids], sampling, n=5)[0]
    news = News()
    with BatchingEngine(engine, slots=3) as live:
        live.submit(ask("A fever"), sampling, news, n=5)
        news.wait(5)
    found = {i: [p.token for p in news.pieces if p.choice == i and p.token is not None] for i in range(5)}
    assert [found[i] for i in range(5)] == [ids[:-1] if ids[-1] in engine.stop_ids else ids for ids in expected]
    assert len({tuple(ids) for ids in found.values()}) > 1


def test_one_enters_while_another_is_under_way(live: BatchingEngine) -> None:
    slow, quick = News(), News()
    live.submit(ask("a"), Sampling(400, repetition_penalty=1.0, min_new_tokens=400), slow)
    with slow.changed:
        assert slow.changed.wait_for(lambda: len(slow.pieces) > 3, 60)
    live.submit(ask("bb"), Sampling(3), quick)
    quick.wait()
    assert not any(p.finish for p in slow.pieces)
    slow.wait()
    assert sum(p.token is not None for p in slow.pieces) == 400


def test_log_probabilities_are_the_models_own(engine: Engine) -> None:
    news = News()
    sampling = Sampling(6, temperature=0.7, repetition_penalty=1.5, seed=1, min_new_tokens=6)
    with BatchingEngine(engine, slots=3) as live:
        live.submit(ask("A fever"), sampling, news, top=3)
        news.wait()
    prompt = engine.prepare(ask("A fever"), sampling).ids
    ids = [p.token for p in news.pieces if p.token is not None]
    assert engine.model is not None
    with torch.no_grad():
        logits = engine.model(input_ids=torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
    truth = torch.log_softmax(logits.float(), -1)
    scores = [p.score for p in news.pieces if p.token is not None]
    for token, score, logps in zip(ids, scores, truth):
        assert score is not None
        assert score.logp == pytest.approx(float(logps[token]), abs=1e-4)
        assert [i for i, _ in score.top] == logps.topk(3).indices.tolist()
        assert [v for _, v in score.top] == pytest.approx(logps.topk(3).values.tolist(), abs=1e-4)


def test_without_log_probabilities_in_the_backend_they_are_refused() -> None:
    with BatchingEngine(engine_of("bloom")) as live, pytest.raises(ServeError, match="no log-probabilities"):
        live.submit(ask("a"), Sampling(3), News(), top=0)


def test_a_cancelled_request_frees_its_slot_and_says_no_more(engine: Engine) -> None:
    with BatchingEngine(engine, slots=1, queue=1) as live:
        first, second = News(), News()
        request = live.submit(ask("a"), Sampling(400, min_new_tokens=400), first)
        live.submit(ask("bb"), Sampling(3), second)
        with first.changed:
            assert first.changed.wait_for(lambda: len(first.pieces) > 3, 60)
        request.cancel()
        told = len(first.pieces)
        second.wait()
        assert second.error is None
        assert len(first.pieces) <= told + 1  # one may have been on its way
        assert not any(p.finish for p in first.pieces)


def test_more_than_may_wait_is_refused_and_the_rest_answered(either: Engine) -> None:
    with BatchingEngine(either, slots=1, queue=2) as live:
        all_news = [News() for _ in range(3)]
        for news in all_news:
            live.submit(ask("a"), Sampling(60, min_new_tokens=60), news)
        with pytest.raises(BusyError, match="waiting already"):
            live.submit(ask("a"), Sampling(5), News(), n=3)
        for news in all_news:
            assert news.wait().error is None
        deadline = time.monotonic() + 30
        while (live.load.active or live.load.waiting) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (live.load.active, live.load.waiting) == (0, 0)
        assert live.load.tokens == 180


def test_those_who_left_during_a_long_step_take_no_room(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    step, begun, go_on = Pool.step, threading.Event(), threading.Event()

    def long_step(self: Pool) -> Any:
        begun.set()
        assert go_on.wait(60)
        return step(self)

    monkeypatch.setattr(Pool, "step", long_step)
    with BatchingEngine(engine, slots=1, queue=1) as live:
        first = live.submit(ask("a"), Sampling(3), News())
        assert begun.wait(60)
        second = live.submit(ask("a"), Sampling(3), News())
        with pytest.raises(BusyError):
            live.submit(ask("a"), Sampling(3), News())
        for request in (first, second):
            request.cancel()
        news = [News(), News()]
        for asker in news:
            live.submit(ask("a"), Sampling(3), asker)
        with pytest.raises(BusyError):
            live.submit(ask("a"), Sampling(3), News())
        go_on.set()
        assert all(asker.wait().error is None for asker in news)


def test_an_error_ends_the_requests_under_way_and_not_the_server(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, failed = Pool.step, []

    def broken(self: Pool) -> Any:
        if not failed:
            failed.append(1)
            raise RuntimeError("the patient's name is Bond")
        return step(self)

    monkeypatch.setattr(Pool, "step", broken)
    with BatchingEngine(engine) as live:
        first, second = News(), News()
        live.submit(ask("a"), Sampling(3), first)
        assert isinstance(first.wait().error, ServeError)
        assert "RuntimeError" in str(first.error)
        assert "Bond" not in str(first.error)
        live.submit(ask("a"), Sampling(3), second)
        assert second.wait().error is None


def test_closing_tells_those_who_wait(either: Engine) -> None:
    with BatchingEngine(either, slots=1) as live:
        all_news = [News() for _ in range(2)]
        for news in all_news:
            live.submit(ask("a"), Sampling(60, min_new_tokens=60), news)
    with pytest.raises(BusyError):
        live.submit(ask("a"), Sampling(3), News())
    for news in all_news:
        news.wait()


def test_draining_answers_what_is_there_and_takes_no_more(live: BatchingEngine) -> None:
    news = News()
    live.submit(ask("a"), Sampling(30, min_new_tokens=30), news)
    assert live.drain(60)
    assert news.wait().error is None
    with pytest.raises(BusyError, match="shutting down"):
        live.submit(ask("a"), Sampling(3), News())


def test_a_stream_gives_pieces_and_then_the_completion(engine: Engine) -> None:
    sampling = Sampling(12, stop=("zz",))
    expected = engine.generate([ask("What is a fever?")], sampling)[0]
    texts: list[str] = []
    with BatchingEngine(engine, slots=3) as live:
        stream = live.stream(ask("What is a fever?"), sampling)
        try:
            while True:
                texts.append(next(stream))
        except StopIteration as end:
            completion = end.value
    assert "".join(texts) == completion.text == expected.text
    assert (completion.stopped, completion.prompt_tokens) == (expected.stopped, expected.prompt_tokens)


def test_a_stream_knows_that_its_prompt_opened_the_thoughts(engine: Engine) -> None:
    thinker = Engine(engine.model, engine.tokenizer, ChatTemplate.load(engine.tokenizer, "qwen3.5"))
    with BatchingEngine(thinker) as live:
        stream = live.stream(ask("a"), Sampling(3))
        try:
            while True:
                next(stream)
        except StopIteration as end:
            completion = end.value
    assert completion.thinking
    assert not engine.generate([ask("a")], Sampling(3))[0].thinking


def test_a_stream_that_is_closed_frees_its_slot(engine: Engine) -> None:
    with BatchingEngine(engine, slots=1, queue=0) as live:
        stream = live.stream(ask("a"), Sampling(400, min_new_tokens=400))
        next(stream)
        stream.close()
        assert live.drain(30)


def test_meanwhile_the_engine_refuses_where_it_would_wait_for_ever(live: BatchingEngine, engine: Engine) -> None:
    news = News()
    live.submit(ask("a"), Sampling(2), news)
    news.wait()
    with pytest.raises(ServeError, match="through BatchingEngine"):
        engine.generate([ask("a")], Sampling(3))


def test_the_model_is_as_it_was_afterwards(engine: Engine) -> None:
    assert engine.model is not None
    engine.model.train()
    with BatchingEngine(engine) as live:
        live.submit(ask("a"), Sampling(3), News())
    assert engine.model.training
    engine.model.eval()
    assert engine.generate([ask("a")], Sampling(3))[0].token_ids
