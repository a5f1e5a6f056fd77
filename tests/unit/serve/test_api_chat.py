"""Chat completions: the engine's answers, in OpenAI's words."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.serving import ask, engine_of, served

from medicalgpt.data.records import Message
from medicalgpt.generate.sampling import Sampling
from medicalgpt.render.template import ChatTemplate
from medicalgpt.render.tool_formats import CallDelta, ContentDelta, Delta
from medicalgpt.serve.api.answer_parts import AnswerParser, PlainText
from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.service import Service

QUESTION = "How is high blood pressure treated?"
PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with served(engine_of()) as found:
        yield found


@pytest.fixture
def client(service: Service) -> TestClient:
    return TestClient(create_app(service), base_url="http://127.0.0.1")


def body(text: str = QUESTION, **fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], "temperature": 0, **fields}


def events(client: TestClient, **fields: Any) -> list[dict[str, Any]]:
    """The events of a stream, which must end with [DONE]."""
    response = client.post(PATH, json=body(stream=True, **fields))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    found = response.text.strip().split("\n\n")
    assert found[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in found[:-1]]


def test_an_answer_is_the_engines(client: TestClient, service: Service) -> None:
    found = client.post(PATH, json=body(max_tokens=20)).json()
    expected = engine_of().generate([ask(QUESTION)], Sampling(20))[0]
    choice = found["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": expected.text, "refusal": None}
    assert choice["finish_reason"] == ("stop" if expected.stopped else "length")
    assert choice["logprobs"] is None
    tokens = len(expected.token_ids) - (expected.token_ids[-1] in service.live.engine.stop_ids)
    assert found["usage"] == {
        "prompt_tokens": expected.prompt_tokens,
        "completion_tokens": tokens,
        "total_tokens": expected.prompt_tokens + tokens,
    }
    assert (found["object"], found["model"]) == ("chat.completion", "tiny")


def test_a_stream_brings_the_same_in_pieces(client: TestClient) -> None:
    whole = client.post(PATH, json=body(max_tokens=20)).json()
    found = events(client, max_tokens=20, stream_options={"include_usage": True})
    assert found[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    text = "".join(c["delta"].get("content", "") for e in found for c in e["choices"])
    assert text == whole["choices"][0]["message"]["content"]
    assert [e["usage"] for e in found[:-1]] == [None] * (len(found) - 1)
    assert found[-1]["choices"] == []
    assert found[-1]["usage"] == whole["usage"]
    assert found[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert len({e["id"] for e in found}) == 1
    assert {e["object"] for e in found} == {"chat.completion.chunk"}
    assert "usage" not in events(client, max_tokens=2)[0]


def test_seeds_repeat_answers_and_n_varies_them(client: TestClient) -> None:
    def texts(**fields: Any) -> list[str]:
        found = client.post(PATH, json=body(max_tokens=12, temperature=1, **fields)).json()["choices"]
        assert [choice["index"] for choice in found] == list(range(len(found)))
        return [choice["message"]["content"] for choice in found]

    assert texts(seed=5, n=3) == texts(seed=5, n=3)
    assert len(set(texts(seed=5, n=3))) > 1
    assert texts(seed=5) == texts(seed=5, n=3)[:1]
    assert texts(seed=-5) == texts(seed=-5)
    assert len({texts()[0] for _ in range(4)}) > 1


def test_a_stop_text_ends_the_answer(client: TestClient) -> None:
    text = client.post(PATH, json=body(max_tokens=40)).json()["choices"][0]["message"]["content"]
    stop = text[8:10]
    for found in (stop, [stop, "never"]):
        choice = client.post(PATH, json=body(max_tokens=40, stop=found)).json()["choices"][0]
        assert choice["message"]["content"] == text[: text.index(stop)]
        assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities_spell_the_answer(client: TestClient, stream: bool) -> None:
    fields = {"max_tokens": 12, "logprobs": True, "top_logprobs": 3}
    if stream:
        choices = [c for e in events(client, **fields) for c in e["choices"]]
        text = "".join(c["delta"].get("content", "") for c in choices)
        entries = [entry for c in choices if c["logprobs"] for entry in c["logprobs"]["content"]]
    else:
        choice = client.post(PATH, json=body(**fields)).json()["choices"][0]
        text, entries = choice["message"]["content"], choice["logprobs"]["content"]
    assert len(entries) == 12
    spelt = bytes(byte for entry in entries for byte in entry["bytes"])
    assert spelt.decode(errors="replace").startswith(text)  # a tiny model writes broken characters
    for entry in entries:
        assert entry["logprob"] <= 0
        assert len(entry["top_logprobs"]) == 3
        assert entry["top_logprobs"][0]["logprob"] == entry["logprob"]  # greedy


def test_without_a_length_the_answer_has_what_the_context_leaves(client: TestClient) -> None:
    found = client.post(PATH, json=body(stop=None, seed=1)).json()
    choice, usage = found["choices"][0], found["usage"]
    assert choice["finish_reason"] == "stop" or usage["completion_tokens"] == min(300, 512 - usage["prompt_tokens"])


def test_old_turns_that_do_not_fit_are_told(client: TestClient) -> None:
    turns = [{"role": r, "content": "fever " * 150} for r in ("user", "assistant", "user", "assistant")]
    messages = [*turns, {"role": "user", "content": "a"}]
    for stream in (False, True):
        fields = {"max_tokens": 4, "stream": stream, "stream_options": {"include_usage": True} if stream else None}
        response = client.post(PATH, json=body(**fields) | {"messages": messages})
        assert response.status_code == 200, response.text
        dropped = int(response.headers["x-dropped-turns"])
        assert dropped in (2, 4)
        usage = json.loads(response.text.split("data: ")[-2])["usage"] if stream else response.json()["usage"]
        assert usage["dropped_turns"] == dropped
    assert "x-dropped-turns" not in client.post(PATH, json=body(max_tokens=3)).headers


def test_a_question_that_is_too_long(client: TestClient) -> None:
    response = client.post(PATH, json=body("fever " * 600, max_tokens=5))
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "context is 512" in error["message"]
    assert client.post(PATH, json=body(max_tokens=300)).status_code == 200


def test_the_model_gets_the_conversation_as_it_was_trained(client: TestClient, service: Service) -> None:
    """Parts are joined, developer is system, and earlier answers stand where they stood."""
    messages = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "A fever"}, {"type": "text", "text": "of 39"}],
            "name": "x",
        },
        {"role": "assistant", "content": "Drink.", "refusal": None, "annotations": [], "tool_calls": None},
        {"role": "user", "content": "And?"},
    ]
    found = client.post(PATH, json=body(max_tokens=3) | {"messages": messages}).json()
    turns = [Message("system", "Be brief."), Message("user", "A fever\nof 39"), Message("assistant", "Drink.")]
    expected = service.live.engine.template.prompt_ids([*turns, Message("user", "And?")])
    assert found["usage"]["prompt_tokens"] == len(expected)


def test_the_servers_system_message_stands_in() -> None:
    with served(engine_of(), system="Be brief.") as service:
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        with_it = client.post(PATH, json=body(max_tokens=2)).json()["usage"]["prompt_tokens"]
        own = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
        assert (
            client.post(PATH, json=body(max_tokens=2) | {"messages": own}).json()["usage"]["prompt_tokens"] == with_it
        )
    assert with_it == len(
        service.live.engine.template.prompt_ids([Message("system", "Be brief."), Message("user", QUESTION)])
    )


# -- tools --------------------------------------------------------------------------------------------------------------
TOOL = {"type": "function", "function": {"name": "dose", "parameters": {"type": "object", "properties": {}}}}


class Every:
    """Stands for a parser of a tool format: after four characters of text the answer is a call."""

    def __init__(self) -> None:
        self.text = ""

    def push(self, text: str) -> list[Delta]:
        before, self.text = self.text, self.text + text
        shown = self.text[len(before) : 4] if len(before) < 4 else ""
        return [ContentDelta(shown)] if shown else []

    def finish(self) -> list[Delta]:
        return [CallDelta(0, "call_1", "dose", '{"mg":5}')]


def every(template: ChatTemplate, tools: Any) -> type[AnswerParser]:
    return Every if tools else PlainText


def test_tools_without_a_parser_are_refused(client: TestClient) -> None:
    response = client.post(PATH, json=body(tools=[TOOL]))
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "tools"
    assert client.post(PATH, json=body(tools=[TOOL], tool_choice="none", max_tokens=2)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_calls_that_a_parser_finds_are_told(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of()
    read = engine.prepare
    seen: list[Any] = []

    def prepare(prompt: Any, sampling: Sampling) -> Any:
        """The tiny template writes no tools; they must have come as far as here."""
        if isinstance(prompt, list):
            return read(prompt, sampling)
        seen.append(prompt.tools)
        return read(prompt.messages, sampling)

    monkeypatch.setattr(engine, "prepare", prepare)
    with served(engine, parsers=every) as service:
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        stop = client.post(PATH, json=body(max_tokens=60)).json()["choices"][0]["message"]["content"][10:12]
        fields = {"tools": [TOOL], "max_tokens": 60, "stop": stop}
        if stream:
            choices = [c for e in events(client, **fields) for c in e["choices"]]
            calls = [call for c in choices for call in c["delta"].get("tool_calls", [])]
            finish = choices[-1]["finish_reason"]
            assert calls[0].pop("index") == 0
        else:
            choice = client.post(PATH, json=body(**fields)).json()["choices"][0]
            calls, finish = choice["message"]["tool_calls"], choice["finish_reason"]
            assert len(choice["message"]["content"]) == 4
    assert calls == [{"id": "call_1", "type": "function", "function": {"name": "dose", "arguments": '{"mg":5}'}}]
    assert finish == "tool_calls"
    assert seen[-1] == (TOOL,)
