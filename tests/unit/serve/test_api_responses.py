"""`/v1/responses`: the answers of `/v1/chat/completions` in OpenAI's newer form, whole and as events, to its own client."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from fastapi.testclient import TestClient
from tests.serving import engine_of, says, served, written
from tests.tiny import tiny_tokenizer

from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.service import Service

PATH = "/v1/responses"
TOOL: Any = {
    "type": "function",
    "name": "dose",
    "parameters": {"type": "object", "properties": {"drug": {"type": "string"}}, "required": ["drug"]},
    "strict": False,
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with served(engine_of(max_position_embeddings=2048)) as found:
        yield found


@pytest.fixture(scope="module")
def client(service: Service) -> TestClient:
    return TestClient(create_app(service), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def theirs(client: TestClient) -> openai.OpenAI:
    return openai.OpenAI(base_url="http://127.0.0.1/v1", api_key="none", http_client=client, max_retries=0)


def asked(client: TestClient, **fields: Any) -> dict[str, Any]:
    body = {"model": "tiny", "input": "A fever?", "temperature": 0, "max_output_tokens": 8, **fields}
    response = client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def chat(client: TestClient, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {"model": "tiny", "messages": messages, "temperature": 0, "max_tokens": 8, **fields}
    found: dict[str, Any] = client.post("/v1/chat/completions", json=body).json()
    return found


def test_an_answer_is_that_of_the_older_form(client: TestClient, theirs: openai.OpenAI) -> None:
    older = chat(client, {"role": "system", "content": "Be brief."}, {"role": "user", "content": "A fever?"})
    found = theirs.responses.create(
        model="tiny", instructions="Be brief.", input="A fever?", temperature=0, max_output_tokens=8
    )
    assert found.output_text == older["choices"][0]["message"]["content"]
    assert (found.status, found.incomplete_details.reason) == ("incomplete", "max_output_tokens")  # type: ignore[union-attr]
    assert found.instructions == "Be brief."
    assert found.usage is not None
    assert found.usage.input_tokens == older["usage"]["prompt_tokens"]
    assert found.usage.output_tokens == 8
    assert found.usage.total_tokens == found.usage.input_tokens + 8


def test_events_grow_into_the_whole_answer(client: TestClient, theirs: openai.OpenAI) -> None:
    whole = asked(client)
    events = list(
        theirs.responses.create(model="tiny", input="A fever?", temperature=0, max_output_tokens=8, stream=True)
    )
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1].response.model_dump(exclude_unset=True)  # type: ignore[union-attr]
    assert text == last["output"][0]["content"][0]["text"] == whole["output"][0]["content"][0]["text"]
    assert set(last) == set(whole)
    assert last["usage"] == whole["usage"]


def test_thoughts_message_and_call_are_items_of_their_own(
    client: TestClient, theirs: openai.OpenAI, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = written(service, "dose", drug="ibuprofen")
    says(monkeypatch, service, f"<think>\nWhich drug?\n</think>\n\nLet me see. {call}")
    found = theirs.responses.create(model="tiny", input="How much?", tools=[TOOL])
    assert [item.type for item in found.output] == ["reasoning", "message", "function_call"]
    thoughts, message, called = (item.model_dump() for item in found.output)
    assert "Which drug?" in thoughts["content"][0]["text"]
    assert message["content"][0]["text"].strip() == "Let me see."
    assert (called["name"], json.loads(called["arguments"])) == ("dose", {"drug": "ibuprofen"})
    assert found.status == "completed"
    events = list(theirs.responses.create(model="tiny", input="How much?", tools=[TOOL], stream=True))
    added = [event.item.type for event in events if event.type == "response.output_item.added"]
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert added == [item.type for item in done] == ["reasoning", "message", "function_call"]
    assert "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta") == called["arguments"]
    assert done[2].model_dump()["call_id"]


def test_a_conversation_sent_back_is_the_older_one(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = says(monkeypatch, service, "Yes.")
    first = asked(client, input="A fever?")["output"]
    calls = [{"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "dose", "arguments": '{"drug": "a"}'}]
    calls += [
        {"type": "function_call", "call_id": "c2", "name": "dose", "arguments": '{"drug": "b"}', "status": "completed"}
    ]
    results = [{"type": "function_call_output", "call_id": name, "output": f"of {name}"} for name in ("c2", "c1")]
    thoughts = [
        {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "x"}]}
    ]
    parts = [{"type": "input_text", "text": "How"}, {"type": "input_text", "text": "much?"}]
    turns = [
        {"role": "user", "content": "A fever?"},
        *first,
        {"role": "user", "content": parts},
        *thoughts,
        *calls,
        *results,
    ]
    asked(client, instructions="Be brief.", input=turns, tools=[TOOL])
    made = [{"id": c["call_id"], "function": {"name": "dose", "arguments": c["arguments"]}} for c in calls]
    chat(
        client,
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A fever?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "How\nmuch?"},
        {"role": "assistant", "tool_calls": made},
        {"role": "tool", "tool_call_id": "c2", "content": "of c2"},
        {"role": "tool", "tool_call_id": "c1", "content": "of c1"},
        tools=[{"type": "function", "function": {k: v for k, v in TOOL.items() if k != "type"}}],
    )
    assert prompts[1] == prompts[2]
    assert "of c1" in tiny_tokenizer().decode(prompts[1])


def test_instructions_stand_before_a_system_message_of_the_input(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = says(monkeypatch, service, "Yes.")
    turns = [{"role": "developer", "content": "In English."}, {"role": "user", "content": "A fever?"}]
    asked(client, instructions="Be brief.", input=turns)
    chat(client, {"role": "system", "content": "Be brief.\n\nIn English."}, {"role": "user", "content": "A fever?"})
    assert prompts[0] == prompts[1]


def test_text_can_be_held_to_a_schema(client: TestClient) -> None:
    pytest.importorskip("llguidance")
    schema = {
        "type": "object",
        "properties": {"ok": {"enum": [True]}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}
    found = asked(client, text={"format": form}, max_output_tokens=40)
    assert json.loads(found["output"][0]["content"][0]["text"]) == {"ok": True}
    assert found["text"]["format"]["schema"] == schema


@pytest.mark.parametrize(
    ("fields", "words", "param"),
    [
        ({"previous_response_id": "resp_1"}, "this server keeps no conversations; send all of it as input", "previous_response_id"),
        ({"conversation": "conv_1"}, "this server keeps no conversations", "conversation"),
        ({"prompt": {"id": "p"}}, "this server keeps no conversations", "prompt"),
        ({"background": True}, "background is not supported here, except as false", "background"),
        ({"include": ["reasoning.encrypted_content"]}, "include is not supported here", "include"),
        ({"input": []}, "should have at least 1 item", "input"),
        ({"input": 5}, "'input': input should be a valid array", "input"),
        ({"input": [{"role": "user"}]}, "an item of type message has role and content", "input.0"),
        ({"input": [{"type": "function_call", "name": "x"}]}, "has call_id and name and arguments", None),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input should be 'message'", None),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "reads text only", None),
        ({"max_output_tokens": 500}, "max_output_tokens is 500; this server allows at most 300", "max_output_tokens"),
        ({"max_output_tokens": 0}, "greater than or equal to 1", "max_output_tokens"),
        ({"tools": [{"type": "web_search"}]}, "'tools.0.", "tools.0.name"),
        ({"tool_choice": {"type": "function", "name": "x"}}, "'x' is none of the tools", "tool_choice"),
        ({"text": {"format": {"type": "json_schema"}}}, "'text.format.name': field required", "text.format.name"),
        ({"tools": [{"type": "function", "name": "bad name"}]}, "'tools.0.name'", "tools.0.name"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort: this model's template does not know it", "reasoning.effort"),
        ({"chat_template_kwargs": {"x": 1}}, "template has no setting 'x'; it has none", "chat_template_kwargs"),
        ({"truncation": "disabled", "input": [{"role": "user", "content": "fever " * 80}] * 30},
         "truncation is disabled", "truncation"),
        ({"model": "gpt-4"}, "not served here", "model"),
        ({"temprature": 1}, "unknown field 'temprature'; did you mean", "temprature"),
        ({"temperature": 3}, "less than or equal to 2", "temperature"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(client: TestClient, fields: dict[str, Any], words: str, param: str | None) -> None:
    response = client.post(PATH, json={"model": "tiny", "input": "A fever?", "max_output_tokens": 8, **fields})
    error = response.json()["error"]
    assert response.status_code == (404 if "model" in fields else 400), error
    assert words in error["message"]
    assert param is None or error["param"] == param


def test_book_keeping_is_taken_and_nothing_is_stored(client: TestClient) -> None:
    fields = {"store": True, "user": "u", "metadata": {"a": "b"}, "include": [], "parallel_tool_calls": True}
    found = asked(client, **fields, previous_response_id=None)
    assert found["store"] is False
    assert client.get(f"{PATH}/{found['id']}").status_code == 404
    assert client.post(PATH, content="{}", headers={"Content-Type": "text/plain"}).status_code == 415


def test_an_error_in_the_midst_is_the_clients_exception(
    theirs: openai.OpenAI, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medicalgpt.errors import ServeError

    def submit(encoded: Any, sampling: Any, sink: Any, **more: Any) -> Any:
        request = live(encoded, sampling, sink, **more)
        sink(ServeError("out of memory"))
        return request

    live = service.live.submit
    monkeypatch.setattr(service.live, "submit", submit)
    with pytest.raises(openai.APIError, match="out of memory"):
        list(theirs.responses.create(model="tiny", input="a", stream=True))
