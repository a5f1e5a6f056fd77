"""`response_format` and demanded calls: answers of random models, held to what was asked for."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from tests.serving import engine_of, served

from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.service import Service

PATH = "/v1/chat/completions"
SCHEMA = {
    "type": "object",
    "properties": {
        "triage": {"enum": ["紅", "黃", "綠"]},
        "pulse": {"type": "integer", "minimum": 30, "maximum": 220},
        "codes": {"type": "array", "items": {"type": "string", "pattern": "^[A-Z][0-9]{2}$"}, "maxItems": 2},
    },
    "required": ["triage", "pulse", "codes"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "triage", "schema": SCHEMA, "strict": True}}
DOSE = {
    "type": "object",
    "properties": {"mg": {"type": "integer", "minimum": 1, "maximum": 999}, "route": {"enum": ["口服", "iv"]}},
    "required": ["mg", "route"],
    "additionalProperties": False,
}


def tool(name: str, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A tool."""
    return {"type": "function", "function": {"name": name, "parameters": parameters or DOSE, **more}}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with served(engine_of(max_position_embeddings=4096)) as found:
        yield found


@pytest.fixture
def client(service: Service) -> TestClient:
    return TestClient(create_app(service), base_url="http://127.0.0.1")


def body(**fields: Any) -> dict[str, Any]:
    """A request that is drawn from the whole distribution."""
    turns = [{"role": "user", "content": "發燒三天 mg?"}]
    return {"model": "tiny", "messages": turns, "temperature": 1, "seed": 4, "max_tokens": 150, **fields}


def whole(client: TestClient, **fields: Any) -> dict[str, Any]:
    """An answer in one piece."""
    response = client.post(PATH, json=body(**fields))
    assert response.status_code == 200, response.text
    return dict(response.json())


def streamed(client: TestClient, **fields: Any) -> list[dict[str, Any]]:
    """The deltas of an answer in pieces."""
    lines = client.post(PATH, json=body(stream=True, **fields)).text.strip().split("\n\n")
    assert lines.pop() == "data: [DONE]"
    return [choice for line in lines for choice in json.loads(line.removeprefix("data: "))["choices"]]


def test_an_answer_keeps_the_schema_whole_and_in_pieces(client: TestClient) -> None:
    found = whole(client, response_format=FORMAT, n=2)
    for choice in found["choices"]:
        assert choice["finish_reason"] == "stop"
        Draft202012Validator(SCHEMA).validate(json.loads(choice["message"]["content"]))
    pieces = streamed(client, response_format=FORMAT, n=2)
    for i, choice in enumerate(found["choices"]):
        own = [piece for piece in pieces if piece["index"] == i]
        assert "".join(p["delta"].get("content") or "" for p in own) == choice["message"]["content"]
        assert own[-1]["finish_reason"] == "stop"


def test_logprobs_and_usage_are_those_of_the_tokens(client: TestClient) -> None:
    """Log-probabilities are the model's own, before anything was ruled out, so a drawn token need not be among the likeliest."""
    found = whole(client, response_format=FORMAT, logprobs=True, top_logprobs=2)
    (choice,) = found["choices"]
    entries = choice["logprobs"]["content"]
    assert bytes(b for entry in entries for b in entry["bytes"]).decode() == choice["message"]["content"]
    assert len(entries) == found["usage"]["completion_tokens"]
    assert all(-1e4 < entry["logprob"] <= 0 for entry in entries)
    assert any(entry["token"] not in [other["token"] for other in entry["top_logprobs"]] for entry in entries)


def test_any_object(client: TestClient) -> None:
    for form in ({"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "any"}}):
        (choice,) = whole(client, response_format=form, max_tokens=30)["choices"]
        assert choice["message"]["content"].lstrip().startswith("{")


def test_what_is_cut_off_says_length(client: TestClient) -> None:
    (choice,) = whole(client, response_format=FORMAT, max_tokens=4)["choices"]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"].lstrip().startswith("{")
    (free,) = whole(client, response_format={"type": "text"}, max_tokens=4)["choices"]
    assert free["message"]["content"] == whole(client, max_tokens=4)["choices"][0]["message"]["content"]


NAMED = {"type": "function", "function": {"name": "dose"}}


@pytest.mark.parametrize(("name", "choice"), [("llama3", "required"), ("glm4", "required"), ("qwen", NAMED)])
def test_a_demanded_call_is_one(service: Service, name: str, choice: Any) -> None:
    engine = service.live.engine
    before = engine.template
    engine.template = ChatTemplate.load(engine.tokenizer, None, name)
    try:
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        tools = [tool("look_up"), tool("dose", strict=True)]
        for answer in whole(client, tools=tools, tool_choice=choice, n=2)["choices"]:
            (call,) = answer["message"]["tool_calls"]
            assert call["function"]["name"] in (("look_up", "dose") if choice == "required" else ("dose",))
            Draft202012Validator(DOSE).validate(json.loads(call["function"]["arguments"]))
            assert answer["finish_reason"] == "tool_calls"
            assert not answer["message"]["content"]
            assert "tool_problems" not in answer
    finally:
        engine.template = before


def test_a_schema_that_a_call_cannot_be_held_to(client: TestClient) -> None:
    """The call is begun all the same, and checked when it is there, as ever; only a strict tool is refused."""
    loose = tool("dose", {"type": "object", "not": {"required": ["kg"]}})
    (choice,) = whole(client, tools=[loose], tool_choice="required", max_tokens=9)["choices"]
    assert choice["message"]["content"].startswith("<tool_call>")
    strict = tool("dose", {"type": "object", "not": {"required": ["kg"]}}, strict=True)
    response = client.post(PATH, json=body(tools=[strict], tool_choice="required"))
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "tools"
    assert "Unimplemented" in response.json()["error"]["message"]


def test_a_response_format_beside_tools_is_either(client: TestClient) -> None:
    seen = set()
    for choice in whole(client, tools=[tool("dose")], response_format=FORMAT, n=3, temperature=2)["choices"]:
        if calls := choice["message"].get("tool_calls"):
            Draft202012Validator(DOSE).validate(json.loads(calls[0]["function"]["arguments"]))
        else:
            Draft202012Validator(SCHEMA).validate(json.loads(choice["message"]["content"]))
        seen.add(choice["finish_reason"])
    assert seen <= {"stop", "tool_calls"}


def test_thoughts_come_before_the_json(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that opens a block: the thoughts are free, and no end comes before the JSON."""
    engine = service.live.engine
    monkeypatch.setattr(engine, "template", ChatTemplate.load(engine.tokenizer, "qwen3.5"))
    client = TestClient(create_app(service), base_url="http://127.0.0.1")
    (choice,) = whole(client, response_format=FORMAT, max_tokens=60)["choices"]
    assert choice["finish_reason"] == "length", "a random model never closes the block"
    assert choice["message"]["reasoning_content"]
    assert choice["message"]["content"] == ""


def test_a_grammar_that_breaks_down_fails_its_own_request_only(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medicalgpt.structured import trial

    monkeypatch.setattr(trial, "_STATES", 400)
    hard = {"name": "hard", "schema": {"type": "string", "pattern": "^.*a.{30}$"}}
    response = client.post(PATH, json=body(response_format={"type": "json_schema", "json_schema": hard}))
    assert response.status_code == 400
    assert "too complex" in response.json()["error"]["message"]
    assert whole(client, response_format=FORMAT)["choices"][0]["finish_reason"] == "stop"


def test_without_llguidance_it_is_a_clear_400(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for module in ("llguidance", "medicalgpt.structured.compiler", "medicalgpt.structured.trial"):
        monkeypatch.setitem(sys.modules, module, None)
    with served(engine_of()) as service:
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        response = client.post(PATH, json=body(response_format=FORMAT, max_tokens=5))
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "response_format"
        assert "pip install 'medicalgpt[structured]'" in response.json()["error"]["message"]
