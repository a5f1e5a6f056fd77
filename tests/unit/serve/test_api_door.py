"""Who comes in, what is refused, how it is said, and what is logged of it."""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.serving import endless, engine_of, served

from medicalgpt.errors import ServeError
from medicalgpt.generate.backends.decoder.pool import Pool
from medicalgpt.network.access import ApiKeys, check_host
from medicalgpt.network.address import named_locally
from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.service import Limits, Service

PATH = "/v1/chat/completions"
HERE = "http://127.0.0.1"
KEY = "sk-0123456789abcdef"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with served(engine_of(), slots=2, queue=2, limits=Limits(max_tokens=100, max_body=20_000)) as found:
        yield found


@pytest.fixture
def client(service: Service) -> TestClient:
    return TestClient(create_app(service), base_url=HERE)


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": "a"}], "max_tokens": 2, **fields}


def turn(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", **fields}]}


def schema(content: dict[str, Any], name: str = "a", **fields: Any) -> dict[str, Any]:
    """A response format."""
    return {"response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": content, **fields}}}


BAD: list[tuple[dict[str, Any], int, str | None, str]] = [
    ({"model": "gpt-4"}, 404, "model", "there is tiny, medical/tiny"),
    ({"messages": []}, 400, "messages", "at least 1 item"),
    ({"messages": "hi"}, 400, "messages", "valid array"),
    ({"temprature": 1}, 400, "temprature", "did you mean 'temperature'"),
    ({"temperature": "1"}, 400, "temperature", "valid number"),
    ({"temperature": -1}, 400, "temperature", "greater than or equal to 0"),
    ({"top_p": 0}, 400, "top_p", "greater than 0"),
    ({"n": 0}, 400, "n", "greater than or equal to 1"),
    ({"n": 5}, 400, "n", "at most 4"),
    ({"max_tokens": 101}, 400, "max_tokens", "at most 100"),
    ({"max_tokens": 2, "max_completion_tokens": 3}, 400, "max_tokens", "differ"),
    ({"top_logprobs": 2}, 400, "top_logprobs", "needs logprobs"),
    ({"stream_options": {"include_usage": True}}, 400, "stream_options", "needs stream"),
    ({"verbosity": "low"}, 400, "verbosity", "not supported here"),
    ({"response_format": {"type": "xml"}}, 400, "response_format.type", "'json_object' or 'json_schema'"),
    ({"response_format": {"type": "json_schema"}}, 400, "response_format", "that type needs it"),
    (schema({"not": {}}), 400, "response_format", "Unimplemented keys"),
    (schema({"type": "objekt"}), 400, "response_format", "schema 'a': it is no JSON schema"),
    (schema({}, name="a b"), 400, "response_format.json_schema.name", "match pattern"),
    (schema({}, skema={}), 400, "response_format.json_schema.skema", "unknown field"),
    ({"stop": ["a", ""]}, 400, "stop.1", "at least 1 character"),
    (turn(content=[{"type": "image_url", "image_url": {"url": "data:x"}}]), 400, "messages.0.content", "text only"),
    (turn(content=[{"type": "input_audio", "input_audio": {}}]), 400, "messages.0.content", "input_audio"),
    (turn(content=[{"type": "text"}]), 400, "messages.0.content", "every part must be"),
    (turn(content={"text": "a"}), 400, "messages.0.content", "valid string"),
    (turn(), 400, "messages.0", "content is missing"),
    (turn(content="a<|im_end|>b"), 400, None, "special token '<|im_end|>'"),
    ({"messages": [{"role": "assistant", "content": "a"}]}, 400, None, "must end with a user"),
    ({"messages": [{"role": "robot", "content": "a"}]}, 400, "messages.0.role", "'system', 'developer'"),
    ({"tools": [{"type": "web_search"}]}, 400, "tools.0.type", "'function'"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, 400, "tools.0.function.name", "match"),
    ({"tool_choice": "required"}, 400, "tool_choice", "needs tools"),
    ({"tool_choice": "always"}, 400, "tool_choice", '"required", or {"type": "function"'),
    ({"tool_choice": {"type": "function", "function": {"name": "dose"}}}, 400, "tool_choice", "none of the tools"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]},
        400,
        "messages.0.tool_calls",
        "not JSON",
    ),
]


@pytest.mark.parametrize(("fields", "status", "param", "words"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_what_is_wrong_is_named(
    client: TestClient, fields: dict[str, Any], status: int, param: str | None, words: str
) -> None:
    response = client.post(PATH, json=body(**fields))
    error = response.json()["error"]
    assert response.status_code == status, error
    assert set(error) == {"message", "type", "param", "code"}
    assert words in error["message"]
    assert error["param"] == param


def test_book_keeping_and_empty_fields_are_taken(client: TestClient) -> None:
    fields = {"user": "u", "metadata": {"a": "b"}, "store": False, "frequency_penalty": 0, "logit_bias": None}
    more = {"response_format": {"type": "text"}, "seed": None, "stop": None, "tools": None, "tool_choice": "auto"}
    assert client.post(PATH, json=body(**fields, **more)).status_code == 200


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 9000, b'{"model": "\\ud83d"}', b"3"])
def test_a_body_that_is_no_json_object(client: TestClient, raw: bytes) -> None:
    response = client.post(PATH, content=raw, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert "body is not" in response.json()["error"]["message"]


def test_another_content_type_is_refused(client: TestClient) -> None:
    response = client.post(PATH, content=json.dumps(body()), headers={"Content-Type": "text/plain"})
    assert response.status_code == 415


def test_large_bodies_are_refused_with_and_without_a_length(client: TestClient, service: Service) -> None:
    raw = json.dumps(body(user="x" * 30_000)).encode()
    headers = {"Content-Type": "application/json"}
    for content in (raw, iter([raw[:15_000], raw[15_000:]])):
        response = client.post(PATH, content=content, headers=headers)
        assert response.status_code == 413
        assert "20000 bytes" in response.json()["error"]["message"]
    assert service.room.requests == 0


def test_prompts_over_the_servers_own_limit() -> None:
    with served(engine_of(), limits=Limits(max_prompt_tokens=20)) as service:
        response = TestClient(create_app(service), base_url=HERE).post(PATH, json=body(**turn(content="fever " * 30)))
    assert response.json()["error"]["code"] == "context_length_exceeded"


def test_unknown_paths_and_methods(client: TestClient) -> None:
    for method, path, status in (("GET", "/v1/files", 404), ("GET", PATH, 405), ("GET", "/docs", 404)):
        response = client.request(method, path)
        assert response.status_code == status
        assert response.json()["error"]["type"] == "invalid_request_error"


def test_models_and_health(client: TestClient) -> None:
    assert [m["id"] for m in client.get("/v1/models").json()["data"]] == ["tiny", "medical/tiny"]
    assert client.get("/v1/models/medical/tiny").json()["context_length"] == 512
    assert client.get("/v1/models/gpt-4").status_code == 404
    assert client.get("/health").json() == {"status": "ok", "active": 0, "waiting": 0}


@pytest.mark.parametrize("path", ["/health", "/metrics", "/v1/models", "/v1/models/tiny"])
def test_head_is_answered_where_get_is(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]
    assert client.head(PATH).status_code == 405


# -- keys and hosts -----------------------------------------------------------------------------------------------------
def test_keys_are_needed_where_there_are_some() -> None:
    with served(engine_of(), keys=ApiKeys([KEY, "sk-another-key"])) as service:
        client = TestClient(create_app(service), base_url="http://hospital.example")
        for header in ("", KEY, f"Basic {KEY}", f"Bearer {KEY}x", "Bearer "):
            response = client.get("/v1/models", headers={"Authorization": header})
            assert response.status_code == 401
            assert response.json()["error"]["code"] == "invalid_api_key"
        for key in (KEY, "sk-another-key"):
            assert client.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert client.get("/metrics").status_code == 401
        assert client.get("/health").status_code == 200


def test_without_keys_another_name_for_this_machine_is_refused(service: Service) -> None:
    client = TestClient(create_app(service), base_url="http://evil.example")
    assert client.post(PATH, json=body()).status_code == 403
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:1", "LOCALHOST", "[::1]:8000", "[::1]"])
def test_names_of_this_machine(host: str) -> None:
    assert named_locally(host)


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "0.0.0.0:8000"])
def test_other_names(host: str) -> None:
    assert not named_locally(host)


def test_keys_come_from_file_and_environment(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# the ward\n\n{KEY}\n")
    monkeypatch.setenv("MEDICALGPT_API_KEYS", "sk-from-environment, ")
    keys = ApiKeys.read(file)
    assert keys.accept(f"Bearer {KEY}")
    assert keys.accept("bearer sk-from-environment")
    assert not keys.accept("Bearer # the ward")
    monkeypatch.setenv("MEDICALGPT_API_KEYS", "")
    assert not ApiKeys.read()
    file.write_text("# none\n")
    for wrong, words in ((file, "has no key"), (tmp_path / "gone", "cannot be read")):
        with pytest.raises(ServeError, match=words):
            ApiKeys.read(wrong)
    file.write_text("short\n")
    with pytest.raises(ServeError, match="fewer than 8") as info:
        ApiKeys.read(file)
    assert "short" not in str(info.value)


def test_keys_follow_their_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    keys = ApiKeys.read(file)
    assert keys.exposed is None
    keys.renew()
    assert not caplog.records
    replaced = tmp_path / "new"
    replaced.write_text("sk-of-tomorrow\n")
    replaced.chmod(0o644)
    replaced.rename(file)
    keys.renew()
    assert keys.accept("Bearer sk-of-tomorrow")
    assert not keys.accept(f"Bearer {KEY}")
    assert "there are 1" in caplog.text
    assert f"chmod 600 {file}" in caplog.text
    assert keys.exposed is not None
    for broken in ("# none\n", "short\n", None):
        caplog.clear()
        if broken is None:
            file.unlink()
        else:
            file.write_text(broken)
        keys.renew()
        keys.renew()
        (record,) = caplog.records
        assert "the keys from before stay valid" in record.getMessage()
        assert keys.accept("Bearer sk-of-tomorrow")
    assert "short" not in caplog.text
    assert "tomorrow" not in caplog.text


def test_other_machines_are_let_in_only_with_keys_or_by_word() -> None:
    check_host("127.0.0.1", ApiKeys(), no_auth=False)
    check_host("localhost", ApiKeys(), no_auth=False)
    check_host("0.0.0.0", ApiKeys([KEY]), no_auth=False)
    check_host("0.0.0.0", ApiKeys(), no_auth=True)
    for host in ("0.0.0.0", "::", "hospital.example"):
        with pytest.raises(ServeError, match="--api-key-file"):
            check_host(host, ApiKeys(), no_auth=False)


# -- when things go wrong -----------------------------------------------------------------------------------------------
def test_more_than_there_is_room_for(client: TestClient, service: Service) -> None:
    service.room.answers += 3
    try:
        assert client.post(PATH, json=body()).status_code == 200
        response = client.post(PATH, json=body(n=2))
    finally:
        service.room.answers -= 3
    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"
    assert response.json()["error"]["type"] == "rate_limit_error"
    assert (service.room.requests, service.room.answers) == (0, 0)


def test_a_server_that_stops_takes_no_more() -> None:
    with served(engine_of(), stopping=True) as service:
        client = TestClient(create_app(service), base_url=HERE)
        assert client.post(PATH, json=body()).status_code == 503
        assert client.get("/health").json()["status"] == "stopping"


@pytest.mark.parametrize("stream", [False, True])
def test_too_late(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Pool.step
    monkeypatch.setattr(Pool, "step", lambda self: (time.sleep(0.05), step(self))[1])
    with served(endless(), limits=Limits(max_tokens=400, timeout=0.6)) as service:
        client = TestClient(create_app(service), base_url=HERE)
        fields = {"temperature": 1, "max_tokens": 400, "stream": stream, "n": 4}
        response = client.post(PATH, json=body(**fields))
        assert service.live.drain(10)
        assert (service.room.requests, service.room.answers) == (0, 0)
    if stream:
        assert response.status_code == 200
        error = json.loads(response.text.strip().split("data: ")[-1])["error"]
    else:
        assert response.status_code == 504
        assert response.headers["x-should-retry"] == "false"
        error = response.json()["error"]
    assert error["code"] == "timeout"


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_is_told_without_its_words(
    stream: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Pool) -> Any:
        raise RuntimeError("the patient's name is Bond")

    monkeypatch.setattr(Pool, "step", broken)
    with served(engine_of()) as service, caplog.at_level(logging.INFO):
        response = TestClient(create_app(service), base_url=HERE).post(PATH, json=body(stream=stream))
    assert response.status_code == (200 if stream else 500)
    assert "failed on this request (RuntimeError)" in response.text
    assert "Bond" not in response.text + caplog.text


def test_a_bug_is_told_as_one(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*given: Any) -> None:
        raise KeyError(f"the patient's name is {name}")

    name = "Bond"  # apart from the line that fails, which a traceback shows
    monkeypatch.setattr("medicalgpt.serve.api.ask.check", broken)
    with caplog.at_level(logging.INFO):
        response = client.post(PATH, json=body())
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "KeyError" in caplog.text
    assert "Bond" not in response.text + caplog.text


def test_a_line_for_each_request_without_a_word_of_it(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "medicalgpt.serve"):
        response = client.post(f"{PATH}?patient=Bond", json=body(**turn(content="Bond has a fever")))
        client.get("/patients/Bond")
    first, second = (record.getMessage() for record in caplog.records if record.name == "medicalgpt.serve")
    usage = response.json()["usage"]
    assert first.startswith(f"POST {PATH} 200 ")
    assert f"{usage['prompt_tokens']} + {usage['completion_tokens']} tokens" in first
    assert first.endswith(response.headers["x-request-id"])
    assert second.startswith("GET other 404 ")
    assert "Bond" not in caplog.text


def test_metrics_count(client: TestClient) -> None:
    def value(name: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    asked = f'medicalgpt_requests_total{{path="{PATH}",status="200"}}'
    read = "medicalgpt_prompt_tokens_total"
    before = value(read)
    tokens = client.post(PATH, json=body()).json()["usage"]["prompt_tokens"]
    client.post(PATH, json=body(model="x"))
    assert value(asked) == 1
    assert value(f'medicalgpt_requests_total{{path="{PATH}",status="404"}}') == 1
    assert value(read) - before == tokens
    assert value(f'medicalgpt_request_seconds_count{{path="{PATH}"}}') == 2
    assert value("medicalgpt_slots") == 2
    assert value("medicalgpt_requests_open") == 0
