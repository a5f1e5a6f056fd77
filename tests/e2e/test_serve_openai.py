"""OpenAI's own client against a real server on this machine, up to 64 streams at the same time."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.serving import Running, ask, endless, engine_of, running, served, wait_for
from tests.tiny import save_tiny

from medicalgpt.generate.backends.decoder.pool import Pool
from medicalgpt.generate.sampling import Sampling
from medicalgpt.network.access import ApiKeys
from medicalgpt.serve.api.service import Limits

KEY = "sk-0123456789abcdef"
QUESTION = "How is high blood pressure treated?"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with served(engine_of(), keys=ApiKeys([KEY])) as service, running(service) as found:
        yield found


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with client_of(server) as found:
        yield found


def client_of(server: Running, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=60)


def chat(client: openai.OpenAI, text: str = QUESTION, **fields: Any) -> Any:
    settings = {"temperature": 0, "max_tokens": 16, **fields}
    return client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": text}], **settings)


def test_whole_and_streamed_answers_are_the_engines(client: openai.OpenAI) -> None:
    expected = engine_of().generate([ask(QUESTION)], Sampling(16))[0]
    whole = chat(client)
    assert whole.choices[0].message.content == expected.text
    assert whole.usage.prompt_tokens == expected.prompt_tokens
    assert whole._request_id.startswith("req_")
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == expected.text
    assert chunks[-1].usage == whole.usage


def test_seeds_n_stop_and_logprobs(client: openai.OpenAI) -> None:
    def several() -> list[str]:
        return [c.message.content for c in chat(client, temperature=1, seed=7, n=3).choices]

    assert several() == several()
    text = chat(client).choices[0].message.content
    assert chat(client, stop=text[5:7]).choices[0].message.content == text[: text.index(text[5:7])]
    entries = chat(client, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    assert all(entry.top_logprobs[0].logprob == entry.logprob <= 0 for entry in entries)
    pushed = chat(client, logit_bias={"9": 100}, max_tokens=4).choices[0].message.content
    assert pushed == engine_of().text([9] * 4)
    spread = chat(client, logit_bias={"9": 8}, frequency_penalty=2, presence_penalty=1, max_tokens=20)
    held = Sampling(20, logit_bias=((9, 8.0),), frequency_penalty=2, presence_penalty=1)
    assert spread.choices[0].message.content == engine_of().generate([ask(QUESTION)], held)[0].text
    extended = chat(client, extra_body={"top_k": 1, "min_p": 0.5, "repetition_penalty": 1.0}, temperature=1)
    assert extended.choices[0].message.content == text  # one token to draw from: the likeliest


def test_text_completions_and_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny", "medical/tiny"]
    found = client.completions.create(model="medical/tiny", prompt="A fever", max_tokens=6, logprobs=1, temperature=0)
    pieces = client.completions.create(model="tiny", prompt="A fever", max_tokens=6, temperature=0, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == found.choices[0].text
    echoed = client.completions.create(
        model="tiny", prompt="A fever", max_tokens=6, temperature=0, echo=True, logprobs=1
    )
    assert echoed.choices[0].text == "A fever" + found.choices[0].text
    newer = client.responses.create(model="tiny", input=QUESTION, temperature=0, max_output_tokens=16)
    assert newer.output_text == chat(client).choices[0].message.content
    logprobs = found.choices[0].logprobs
    assert logprobs is not None
    assert len(logprobs.tokens or []) == 6


def test_errors_are_the_clients_own_exceptions(client: openai.OpenAI, server: Running) -> None:
    with pytest.raises(openai.NotFoundError, match="not served here"):
        client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "a"}])
    with pytest.raises(openai.BadRequestError) as info:
        chat(client, "fever " * 600)
    assert info.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="unknown field 'temprature'"):
        chat(client, extra_body={"temprature": 1})
    with client_of(server, "sk-wrong-wrong") as stranger, pytest.raises(openai.AuthenticationError):
        chat(stranger)
    with pytest.raises(openai.APIStatusError) as refused:
        chat(client, "x" * 5_000_000)
    assert refused.value.status_code == 413


def test_a_megabyte_of_prompt_is_refused_in_words_and_the_others_go_on(client: openai.OpenAI) -> None:
    ticks: list[float] = []

    def others() -> None:
        for _ in chat(client, "a", stream=True, max_tokens=300, temperature=1):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=others)
    thread.start()
    with pytest.raises(openai.BadRequestError, match="the model's context is 512"):
        chat(client, "fever " * 170_000)
    thread.join(60)
    assert ticks


def test_a_full_queue_is_a_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_steps(monkeypatch)
    with served(endless(), slots=1, queue=1) as service, running(service) as server, client_of(server) as client:
        streams = [chat(client, "a", stream=True, max_tokens=300, temperature=1) for _ in range(2)]
        with pytest.raises(openai.RateLimitError) as info:
            chat(client, "a")
        assert info.value.response.headers["retry-after"] == "1"
        for stream in streams:
            stream.close()
        wait_for(lambda: service.room.requests == 0)
        assert chat(client, "a").choices


def test_a_client_that_leaves_frees_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_steps(monkeypatch)
    with served(endless(), slots=1) as service, running(service) as server, client_of(server) as client:
        stream = chat(client, "a", stream=True, max_tokens=300, temperature=1, seed=1)
        next(stream)
        stream.close()
        wait_for(lambda: service.live.load.active == 0 and service.room.answers == 0)
        assert service.live.load.tokens < 200
        with (
            client.with_options(timeout=0.3) as hasty,
            pytest.raises(openai.APITimeoutError),
        ):  # and one that waits for all
            chat(hasty, "a", max_tokens=300, temperature=1, seed=1)
        wait_for(lambda: service.live.load.active == 0 and service.room.answers == 0)


def test_stopping_lets_answers_finish_and_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_steps(monkeypatch, 0.02)
    with served(endless(), slots=1) as service, running(service) as server, client_of(server) as client:
        whole = chat(client, "a", temperature=1, seed=3, max_tokens=40).choices[0].message.content
        stream = chat(client, "a", stream=True, temperature=1, seed=3, max_tokens=40)
        pieces = [next(stream)]
        server.server.should_exit = True
        wait_for(lambda: service.stopping)
        with pytest.raises((openai.InternalServerError, openai.APIConnectionError)):
            chat(client, "a")
        pieces += list(stream)
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole


def test_what_is_not_done_when_grace_is_over_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_steps(monkeypatch, 0.05)
    with served(endless(), slots=1) as service, running(service, grace=0.3) as server, client_of(server) as client:
        stream = chat(client, "a", stream=True, max_tokens=300, seed=1, temperature=1)
        next(stream)
        server.server.should_exit = True
        with pytest.raises(openai.APIError, match="stopped before this answer was complete"):
            list(stream)


def test_a_client_that_does_not_read_is_dropped_when_its_time_is_over() -> None:
    """What is kept for it is its answers and no more; its place is free afterwards."""
    limits = Limits(max_tokens=500, timeout=2.0)
    engine = endless(max_position_embeddings=2048)
    with served(engine, limits=limits) as service, running(service) as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        message = '{"model":"tiny","prompt":"a","max_tokens":500,"n":8,"stream":true,"logprobs":20,"seed":1}'
        request = (
            f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(message)}\r\n\r\n{message}"
        )
        with socket.create_connection((host, int(port))) as quiet:
            quiet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            quiet.sendall(request.encode())
            wait_for(lambda: service.room.requests == 1)
            wait_for(lambda: service.room.requests == 0, 20)
        # The step under way when an answer is cancelled is finished first; then its slot is free.
        wait_for(lambda: service.live.load.active == 0, 10)
        assert service.room.answers == 0


def slow_steps(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.01) -> None:
    """A tiny model answers before anyone can interrupt it."""
    step = Pool.step
    monkeypatch.setattr(Pool, "step", lambda self: (time.sleep(seconds), step(self))[1])


# -- load ---------------------------------------------------------------------------------------------------------------
STREAMS = 64


def test_64_streams_at_once_are_each_their_own() -> None:
    questions = [f"What is a fever of {i} degrees? {'高血壓' * (i % 5)}" for i in range(STREAMS)]
    lengths = [5 + i % 17 for i in range(STREAMS)]
    alone = engine_of()
    expected = [alone.generate([ask(q)], Sampling(n))[0].text for q, n in zip(questions, lengths)]
    assert len(set(expected)) > STREAMS // 2

    async def one(client: openai.AsyncOpenAI, question: str, length: int) -> str:
        stream = await client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": question}],
            temperature=0,
            max_tokens=length,
            stream=True,
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def all_of_them(url: str) -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60) as client:
            return await asyncio.gather(*(one(client, q, n) for q, n in zip(questions, lengths)))

    with served(engine_of(), slots=16, queue=STREAMS) as service, running(service) as server:
        assert asyncio.run(all_of_them(server.url)) == expected
        wait_for(lambda: service.room.requests == 0)
        assert (service.live.load.active, service.live.load.waiting) == (0, 0)


# -- the command --------------------------------------------------------------------------------------------------------
def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "medicalgpt", "serve", *words]


def test_the_command_serves_and_stops_at_sigterm(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "nurse")
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY}\n")
    words = command("--model", str(model), "--port", "0", "--api-key-file", str(keys))
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("nurse at http://127.0.0.1:"), line
            url = line.split()[2]
            wait_for(lambda: _healthy(url.removesuffix("/v1")), 60)
            with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
                secret = "Bond has a fever"
                message: Any = [{"role": "user", "content": secret}]
                assert client.chat.completions.create(model="nurse", messages=message, max_tokens=5).choices
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, log
    assert "POST /v1/chat/completions 200" in log
    assert secret not in log
    assert KEY not in log


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "0.0.0.0"], "--api-key-file"),
        (["--api-key-file", "gone"], "cannot be read"),
        (["--host", "no.such.host.invalid"], "--no-auth"),
        (["--allow-origin", "*"], "* would let every web page ask this server; name the origins"),
        (["--allow-origin", "ward.example"], "is no origin"),
    ],
)
def test_the_command_refuses_before_it_loads_anything(words: list[str], told: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command("--model", str(tmp_path / "gone"), *words), capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_said_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            command("--model", str(tmp_path / "gone"), "--port", str(port)), capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 2
    assert f"port {port} on 127.0.0.1 cannot be had (Address already in use)" in done.stderr
