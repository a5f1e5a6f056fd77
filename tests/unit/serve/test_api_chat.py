"""Chat completions: the engine's answers, in OpenAI's words."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.serving import ask, engine_of, says, served, written

from medicalgpt.data.records import Message
from medicalgpt.generate.sampling import Sampling
from medicalgpt.rendering.template import ChatTemplate
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
    spelled = bytes(byte for entry in entries for byte in entry["bytes"])
    assert spelled.decode(errors="replace").startswith(text)  # a tiny model writes broken characters
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


# -- tools and thoughts -------------------------------------------------------------------------------------------------
TOOL = {"type": "function", "function": {"name": "dose", "parameters": {"type": "object", "required": ["mg"]}}}
UNKNOWN = "{% for t in tools or [] %}[{{ t.function.name }}]{% endfor %}" + (
    "{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}"
    "{% for c in m.tool_calls or [] %}!!{{ c.function.name }} with {{ c.function.arguments }}!!{% endfor %}<|im_end|>"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant: {% endif %}"
)


@pytest.fixture(scope="module")
def roomy() -> Iterator[Service]:
    """With room for the tools' descriptions."""
    with served(engine_of(max_position_embeddings=2048)) as found:
        yield found


@pytest.fixture
def caller(roomy: Service) -> TestClient:
    return TestClient(create_app(roomy), base_url="http://127.0.0.1")


def choices_of(client: TestClient, stream: bool, **fields: Any) -> list[dict[str, Any]]:
    """Whole choices, put together from a stream as a client does."""
    if not stream:
        response = client.post(PATH, json=body(**fields))
        assert response.status_code == 200, response.text
        return list(response.json()["choices"])
    found: dict[int, dict[str, Any]] = {}
    for choice in (c for event in events(client, **fields) for c in event["choices"]):
        whole = found.setdefault(choice["index"], {"message": {"content": "", "tool_calls": []}})
        message, delta = whole["message"], choice["delta"]
        message["content"] += delta.get("content") or ""
        message["tool_calls"] += [{k: v for k, v in c.items() if k != "index"} for c in delta.get("tool_calls", ())]
        if "reasoning_content" in delta:
            message["reasoning_content"] = message.get("reasoning_content", "") + delta["reasoning_content"]
        whole |= {name: choice[name] for name in ("finish_reason", "tool_problems") if choice.get(name)}
    return [found[index] for index in sorted(found)]


@pytest.mark.parametrize("stream", [False, True])
def test_calls_come_as_calls(caller: TestClient, roomy: Service, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, roomy, "Let me see.\n" + written(roomy, "dose", mg=5))
    for choice in choices_of(caller, stream, tools=[TOOL], n=2):
        assert choice["message"]["content"] == "Let me see."
        (call,) = choice["message"]["tool_calls"]
        assert call.pop("id").startswith("call_")
        assert call == {"type": "function", "function": {"name": "dose", "arguments": '{"mg": 5}'}}
        assert choice["finish_reason"] == "tool_calls"
        assert "tool_problems" not in choice


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("thinks", [False, True])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "dose"}}])
def test_a_demanded_call_is_begun_for_the_model(
    stream: bool, thinks: bool, choice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a choice of tools the model goes on with a name, with a named one or the only one with the arguments."""
    engine = engine_of(max_position_embeddings=2048)
    engine.template = ChatTemplate.load(engine.tokenizer, "qwen3.5" if thinks else None)
    other = {"type": "function", "function": {"name": "pulse"}}
    tools = [TOOL, other] if choice == "required" else [other, TOOL]
    rest = 'dose", "arguments": {"mg": 5}}\n</tool_call>'
    with served(engine) as service:
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        prompts = says(monkeypatch, service, rest if choice == "required" else rest.removeprefix('dose", "arguments":'))
        (answer,) = choices_of(client, stream, tools=tools, tool_choice=choice)
        (called,) = answer["message"]["tool_calls"]
        assert called["function"] == {"name": "dose", "arguments": '{"mg": 5}'}
        assert not answer["message"]["content"]
        begun = '<tool_call>\n{"name": "' + ("" if choice == "required" else 'dose", "arguments":')
        begun = "<think>\n\n</think>\n\n" * thinks + begun
        assert engine.template.encoder.decode(prompts[0]).endswith("<|im_start|>assistant\n" + begun)
        says(monkeypatch, service, "}")
        (broken,) = choices_of(client, stream, tools=tools, tool_choice=choice)
        assert broken["message"]["content"] == begun.rpartition("</think>\n\n")[2] + "}"
        assert broken["tool_problems"]


def test_a_call_of_any_tool_cannot_be_begun_where_it_begins_with_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without llguidance, which would hold the whole call to its form."""
    for module in ("llguidance", "medicalgpt.structured.compiler", "medicalgpt.structured.trial"):
        monkeypatch.setitem(sys.modules, module, None)
    engine = engine_of(max_position_embeddings=2048)
    engine.template = ChatTemplate.load(engine.tokenizer, None, "glm4")
    with served(engine) as service:
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        tools = [TOOL, {"type": "function", "function": {"name": "pulse"}}]
        response = client.post(PATH, json=body(tools=tools, tool_choice="required"))
        assert response.status_code == 400
        assert "name the function to call" in response.json()["error"]["message"]
        assert client.post(PATH, json=body(tools=[TOOL], tool_choice="required", max_tokens=2)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_malformed_call_stays_text_and_its_reason_is_told(
    caller: TestClient, roomy: Service, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = written(roomy, "dose", kg=14)
    says(monkeypatch, roomy, text)
    (choice,) = choices_of(caller, stream, tools=[TOOL])
    assert choice["message"]["content"] == text
    assert choice["finish_reason"] == "stop"
    assert choice["tool_problems"] == ["dose: the argument 'mg' is missing"]
    (plain,) = choices_of(caller, stream, tools=[TOOL], tool_choice="none")
    assert "tool_problems" not in plain, "nothing was offered, so nothing was called"


def test_results_stand_in_the_order_of_their_calls(
    caller: TestClient, roomy: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = says(monkeypatch, roomy, "5 and 7 mg.")
    made = [
        {"id": f"c{i}", "type": "function", "function": {"name": "dose", "arguments": f'{{"mg": {i}}}'}} for i in (1, 2)
    ]
    results = [{"role": "tool", "tool_call_id": f"c{i}", "content": f"result {i}"} for i in (2, 1)]
    asked = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": None, "tool_calls": made}]
    response = caller.post(PATH, json=body(tools=[TOOL]) | {"messages": [*asked, *results]})
    assert response.status_code == 200, response.text
    calls = tuple({"name": "dose", "arguments": {"mg": i}} for i in (1, 2))
    turns = [Message("user", QUESTION), Message("assistant", "", calls)]
    turns += [Message("tool", f"result {i}") for i in (1, 2)]
    assert prompts == [roomy.live.engine.template.prompt_ids(turns, [TOOL])]
    results[0]["tool_call_id"] = "c9"
    response = caller.post(PATH, json=body(tools=[TOOL]) | {"messages": [*asked, *results]})
    assert response.status_code == 400
    assert "none of the calls before it" in response.json()["error"]["message"]


def test_tools_that_no_call_can_be_checked_against_or_read_back_for_are_refused(caller: TestClient) -> None:
    broken = {"type": "function", "function": {"name": "dose", "parameters": {"type": "objekt"}}}
    response = caller.post(PATH, json=body(tools=[broken]))
    assert response.status_code == 400
    assert "parameters is no JSON schema" in response.json()["error"]["message"]
    engine = engine_of(max_position_embeddings=2048)
    engine.template = ChatTemplate.of_text(engine.tokenizer, UNKNOWN, "unknown")
    with served(engine) as service:
        other = TestClient(create_app(service), base_url="http://127.0.0.1")
        response = other.post(PATH, json=body(tools=[TOOL]))
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "tools"
        assert other.post(PATH, json=body(tools=[TOOL], tool_choice="none", max_tokens=2)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("opened", [False, True])
def test_thoughts_are_apart_from_the_answer(stream: bool, opened: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of()
    if opened:
        engine.template = ChatTemplate.load(engine.tokenizer, "qwen3.5")
    with served(engine) as service:
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        says(monkeypatch, service, ("" if opened else "<think>\n") + "39 is high.\n</think>\n\nSee a doctor.")
        (choice,) = choices_of(client, stream)
        assert choice["message"]["reasoning_content"] == "39 is high."
        assert choice["message"]["content"] == "See a doctor."
        again = [*body()["messages"], choice["message"] | {"role": "assistant"}, {"role": "user", "content": "And?"}]
        again[1].pop("tool_calls", None)
        assert client.post(PATH, json=body() | {"messages": again}).status_code == 200
