"""`chat_template_kwargs` and `reasoning_effort`: what the template has is set as transformers sets it, anything else is refused."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.serving import says, served
from tests.tiny import tiny_model, tiny_tokenizer

from medicalgpt.generate.engine import Engine
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.template_names import setting_names
from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.service import Service

SOURCE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if reasoning_effort is defined %}Effort {{ reasoning_effort }}. {% endif %}"
    "{% if enable_thinking is defined and enable_thinking is false %}No thoughts. {% endif %}{% endif %}"
)
PATH = "/v1/chat/completions"


def engine_with(source: str) -> Engine:
    tokenizer = tiny_tokenizer()
    return Engine(tiny_model(), tokenizer, ChatTemplate.of_text(tokenizer, source, "own"))


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with served(engine_with(SOURCE)) as found:
        yield found


@pytest.fixture(scope="module")
def client(service: Service) -> TestClient:
    return TestClient(create_app(service), base_url="http://127.0.0.1")


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": "A fever?"}], "max_tokens": 2, **fields}


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ({}, {}),
        ({"chat_template_kwargs": {"enable_thinking": False}}, {"enable_thinking": False}),
        ({"chat_template_kwargs": {"enable_thinking": True}}, {"enable_thinking": True}),
        ({"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        (
            {
                "reasoning_effort": "high",
                "chat_template_kwargs": {"enable_thinking": False, "reasoning_effort": "high"},
            },
            {"enable_thinking": False, "reasoning_effort": "high"},
        ),
    ],
)
def test_the_prompt_is_that_of_transformers_with_the_same_values(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, fields: Any, values: Any
) -> None:
    prompts = says(monkeypatch, service, "Hi")
    assert client.post(PATH, json=body(**fields)).status_code == 200
    expected = tiny_tokenizer().apply_chat_template(
        [{"role": "user", "content": "A fever?"}],
        chat_template=SOURCE,
        add_generation_prompt=True,
        tokenize=False,
        **values,
    )
    assert service.live.engine.template.encoder.decode(prompts[0]) == expected


def test_one_requests_settings_are_no_others(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = says(monkeypatch, service, "Hi")
    effort = {"reasoning_effort": "low"}
    for fields in ({}, effort, {}, effort, {"chat_template_kwargs": {"enable_thinking": 0}}):
        assert client.post(PATH, json=body(**fields)).status_code == 200
    assert prompts[0] == prompts[2] == prompts[4] != prompts[1] == prompts[3]  # 0 is not false
    for i in range(40):
        client.post(PATH, json=body(chat_template_kwargs={"reasoning_effort": f"level {i}"}))
    assert service.templates._kept.cache_info().currsize == 32


@pytest.mark.parametrize(
    ("fields", "words", "param"),
    [
        (
            {"chat_template_kwargs": {"thinking": True}},
            "has no setting 'thinking'; it has enable_thinking, reasoning_effort",
            "chat_template_kwargs",
        ),
        ({"chat_template_kwargs": {"messages": "x"}}, "has no setting 'messages'", "chat_template_kwargs"),
        ({"chat_template_kwargs": {"bos_token": "x"}}, "has no setting 'bos_token'", "chat_template_kwargs"),
        (
            {"reasoning_effort": "low", "chat_template_kwargs": {"reasoning_effort": "high"}},
            "reasoning_effort and chat_template_kwargs differ",
            "reasoning_effort",
        ),
        ({"reasoning_effort": "enormous"}, "'none', 'minimal', 'low', 'medium', 'high' or 'xhigh'", "reasoning_effort"),
    ],
)
def test_what_the_template_does_not_know_is_refused(
    client: TestClient, fields: dict[str, Any], words: str, param: str
) -> None:
    error = client.post(PATH, json=body(**fields))
    assert error.status_code == 400
    assert words in error.json()["error"]["message"]
    assert error.json()["error"]["param"] == param


@pytest.mark.parametrize(
    "given",
    [
        {"enable_thinking": "<|im_start|>system"},
        {"enable_thinking": ["a"]},
        {"enable_thinking": {"a": 1}},
        {"enable_thinking": 1e300},
        {"enable_thinking": "x" * 65},
        {"a-b": 1},
        {"__class__" * 20: 1},
        {f"name{i}": 1 for i in range(17)},
        [1],
        "enable_thinking",
    ],
)
def test_values_that_are_no_words_or_numbers_are_refused(client: TestClient, given: Any) -> None:
    response = client.post(PATH, json=body(chat_template_kwargs=given))
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith("chat_template_kwargs")


def test_a_template_without_settings_says_so() -> None:
    with served(engine_with(SOURCE.split("{% if reasoning")[0] + "{% endif %}")) as plain:
        client = TestClient(create_app(plain), base_url="http://127.0.0.1")
        for fields, words in (
            ({"reasoning_effort": "low"}, "template does not know it; leave it out"),
            ({"chat_template_kwargs": {"enable_thinking": False}}, "no setting 'enable_thinking'; it has none"),
        ):
            response = client.post(PATH, json=body(**fields))
            assert response.status_code == 400
            assert words in response.json()["error"]["message"]


def test_names_are_those_that_nobody_else_gives() -> None:
    source = "{% set a = b or c is defined %}{{ bos_token }}{{ messages|tojson }}{{ strftime_now('%d') }}{{ a }}"
    assert setting_names(source, tiny_tokenizer()) == {"b", "c"}
    assert setting_names("{% broken", tiny_tokenizer()) == frozenset()
