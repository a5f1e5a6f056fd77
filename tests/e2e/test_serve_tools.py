"""Tools and thoughts through OpenAI's own client, whole and streamed, until the result of a call comes back."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.serving import Running, engine_of, running, says, served, written

TOOL = {
    "type": "function",
    "function": {
        "name": "dose",
        "description": "Dose by weight",
        "parameters": {"type": "object", "properties": {"kg": {"type": "number"}}, "required": ["kg"]},
    },
}
ASKED: list[Any] = [{"role": "user", "content": "How much for 14 kg?"}]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with served(engine_of(max_position_embeddings=2048)) as service, running(service) as found:
        yield found


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=60) as found:
        yield found


def test_a_call_its_result_and_the_answer(
    client: openai.OpenAI, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, server.service, "<think>\n14 kg.\n</think>\n\n" + written(server.service, "dose", kg=14))
    first = client.chat.completions.create(model="tiny", messages=ASKED, tools=[TOOL])  # type: ignore[list-item]
    (choice,) = first.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.reasoning_content == "14 kg."  # type: ignore[attr-defined]
    (call,) = choice.message.tool_calls or ()
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"kg": 14}
    prompts = says(monkeypatch, server.service, "210 mg.")
    result = {"role": "tool", "tool_call_id": call.id, "content": "210 mg"}
    again: list[Any] = [*ASKED, choice.message, result]
    second = client.chat.completions.create(model="tiny", messages=again, tools=[TOOL])  # type: ignore[list-item]
    assert second.choices[0].message.content == "210 mg."
    assert second.choices[0].finish_reason == "stop"
    text = server.service.live.engine.template.encoder.decode(prompts[0])
    assert written(server.service, "dose", kg=14) in text
    assert "<tool_response>\n210 mg\n</tool_response>" in text


@pytest.mark.parametrize("choice", ["auto", "required", {"type": "function", "function": {"name": "dose"}}])
def test_a_stream_with_tools_is_put_together_by_the_client(
    client: openai.OpenAI, server: Running, choice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(server.service, "dose", kg=14)
    # With one tool a demanded call is begun up to its arguments.
    says(monkeypatch, server.service, whole if choice == "auto" else whole[whole.index(' {"kg"') :])
    with client.chat.completions.stream(
        model="tiny",
        messages=ASKED,
        tools=[TOOL],  # type: ignore[list-item]
        tool_choice=choice,
    ) as stream:
        done = stream.get_final_completion()
    (call,) = done.choices[0].message.tool_calls or ()
    assert call.function.name == "dose"
    assert json.loads(call.function.arguments) == {"kg": 14}
    assert not done.choices[0].message.content


def test_a_model_that_is_made_to_call_and_cannot_says_why(client: openai.OpenAI) -> None:
    """The tiny model writes noise behind the beginning of the call."""
    named: Any = {"type": "function", "function": {"name": "dose"}}
    tools: Any = [TOOL]
    (choice,) = client.chat.completions.create(
        model="tiny", messages=ASKED, tools=tools, tool_choice=named, max_tokens=12, temperature=0
    ).choices
    assert choice.finish_reason in ("stop", "length")
    assert (choice.message.content or "").startswith('<tool_call>\n{"name": "dose", "arguments":')
    assert choice.tool_problems  # type: ignore[attr-defined]
