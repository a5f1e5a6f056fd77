"""The description of the API: off by default, true of every answer that schemathesis gets from generated requests."""

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from fastapi.testclient import TestClient
from schemathesis import checks
from tests.serving import engine_of, served

from medicalgpt.network.access import ApiKeys
from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.service import Limits, Service

HERE = "http://127.0.0.1"
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "tiny", "messages": [{"role": "user", "content": "a"}]},
    "/v1/completions": {"model": "tiny", "prompt": "a"},
    "/v1/responses": {"model": "tiny", "input": "a"},
}
LONGEST = {"/v1/responses": "max_output_tokens"}
SAMPLING = (
    *("stream", "seed", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "user", "store"),
    *(
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "echo",
        "best_of",
        "logprobs",
        "instructions",
        "truncation",
    ),
)
CONFORMANCE = ("status_code", "content_type", "response_schema")
KEY = "sk-0123456789abcdef"


def _conformance() -> list[Any]:
    checks.load_all_checks()
    return [checks.not_a_server_error, *(checks.CHECKS.get_one(f"{name}_conformance") for name in CONFORMANCE)]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with served(engine_of(), limits=Limits(max_tokens=4), described=True) as found:
        yield found


def test_off_by_default_and_behind_the_keys() -> None:
    with served(engine_of()) as plain:
        assert TestClient(create_app(plain), base_url=HERE).get("/openapi.json").status_code == 404
    with served(engine_of(), keys=ApiKeys([KEY]), described=True) as closed:
        client = TestClient(create_app(closed), base_url=HERE)
        assert client.get("/openapi.json").status_code == 401
        found = client.get("/openapi.json", headers={"Authorization": f"Bearer {KEY}"}).json()
    assert found["security"] == [{"key": []}]


def test_every_field_is_described(service: Service) -> None:
    found = TestClient(create_app(service), base_url=HERE).get("/openapi.json").json()
    assert found["openapi"].startswith("3.")
    assert set(found["paths"]) == {
        *(ASKED.keys() | {"/v1/models", "/v1/models/{name}", "/health", "/metrics"}),
    }
    chat = found["components"]["schemas"]["ChatRequest"]
    assert {"messages", "tools", "seed", "max_tokens"} <= set(chat["properties"])


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_as_described_whole_and_streamed(service: Service, path: str, stream: bool) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(service), headers={"Host": "127.0.0.1"})
    case = schema[path]["POST"].Case(body=ASKED[path] | {"stream": stream, LONGEST.get(path, "max_tokens"): 2})
    response = case.call(headers={"Host": "127.0.0.1"})
    assert response.status_code == 200
    assert response.headers["content-type"][0].startswith("text/event-stream" if stream else "application/json")
    case.validate_response(response, checks=_conformance())


@pytest.mark.slow
def test_generated_requests_get_described_answers(service: Service) -> None:
    app = create_app(service)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"Host": "127.0.0.1"})
    told = _conformance()
    asked: dict[str, list[int]] = {}
    for result in schema.get_all_operations():
        operation: Any = result.ok()

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(
            max_examples=12 if operation.path in ASKED else 2,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        def check(case: Any) -> None:
            answers = asked.setdefault(case.operation.path, [])
            if isinstance(case.body, dict) and len(answers) % 2:  # hardly any of the others is ever answered
                case.body = {k: v for k, v in case.body.items() if k in SAMPLING} | ASKED[case.operation.path]
            response = case.call(headers={"Host": "127.0.0.1"})
            answers.append(response.status_code)
            case.validate_response(response, checks=told)

        check()
    assert len(asked) == 7
    assert [path for path in ASKED if 200 not in asked[path]] == []
    assert not service.room.requests
