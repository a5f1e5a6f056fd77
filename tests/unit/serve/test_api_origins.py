"""Who else is let in: web pages of named origins; and what is told without a model's work: the page of the API, embeddings."""

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from tests.serving import engine_of, served

from medicalgpt.errors import ServeError
from medicalgpt.network.access import ApiKeys
from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.cors import origins

HERE = "http://127.0.0.1"
KEY = "sk-0123456789abcdef"
WARD = "https://ward.example"
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with served(engine_of(), keys=ApiKeys([KEY]), origins=origins([WARD]), described=True) as service:
        yield TestClient(create_app(service), base_url=HERE)


def test_a_named_page_may_ask_with_its_key_and_no_other(client: TestClient) -> None:
    path, body = "/v1/completions", {"model": "tiny", "prompt": "a", "max_tokens": 2}
    before = client.options(path, headers={"Origin": WARD, **ASKS})
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == WARD
    assert "authorization" in before.headers["access-control-allow-headers"]
    answer = client.post(path, json=body, headers={"Origin": WARD, "Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == WARD
    for headers in (before.headers, answer.headers):
        assert "access-control-allow-credentials" not in headers
        assert "*" not in headers["access-control-allow-origin"]
    refused = client.post(path, json=body, headers={"Origin": WARD})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == WARD  # so that the page's script can read why


@pytest.mark.parametrize("origin", ["https://evil.example", "https://ward.example.evil", "http://ward.example", "null"])
def test_other_pages_may_not(client: TestClient, origin: str) -> None:
    for response in (
        client.options("/v1/completions", headers={"Origin": origin, **ASKS}),
        client.get("/v1/models", headers={"Origin": origin, "Authorization": f"Bearer {KEY}"}),
    ):
        assert "access-control-allow-origin" not in response.headers


def test_without_the_option_nothing_is_said_of_origins() -> None:
    with served(engine_of()) as service:
        plain = TestClient(create_app(service), base_url=HERE)
        assert not [h for h in plain.get("/v1/models", headers={"Origin": WARD}).headers if h.startswith("access-")]
        assert plain.get("/docs").status_code == 404


def test_origins_are_written_as_browsers_do() -> None:
    given = ["HTTPS://Ward.example/", "https://ward.example:443", "http://localhost:3000", "http://[::1]:80"]
    assert origins(given) == ("https://ward.example", "http://localhost:3000", "http://[::1]")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("*", r"\* would let every web page ask"),
        ("https://*.example", r"\* would let every web page ask"),
        ("ward.example", "is no origin; allowed: https://name"),
        ("null", "is no origin"),
        ("ftp://ward.example", "is no origin"),
        ("https://ward.example:99999", "is no origin"),
        ("https://ward.example/page", "is more than an origin"),
        ("https://nurse:pw@ward.example", "is more than an origin"),
    ],
)
def test_what_is_no_origin_is_refused(text: str, words: str) -> None:
    with pytest.raises(ServeError, match=words):
        origins([text])
    with pytest.raises(ServeError, match="65 origins; allowed: at most 64"):
        origins(f"https://{i}.example" for i in range(65))


def test_the_page_of_the_api_says_what_the_description_does_and_loads_nothing(client: TestClient) -> None:
    assert client.get("/docs").status_code == 401
    allowed = {"Authorization": f"Bearer {KEY}"}
    page = client.get("/docs", headers=allowed)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    described = client.get("/openapi.json", headers=allowed).json()
    for path in described["paths"]:
        assert path in page.text
    for name, schema in described["components"]["schemas"].items():
        for field in schema.get("properties", ()):
            assert f"<code>{field}</code>" in page.text, name
    assert "at most 2, at least -2" in page.text or "at least -2, at most 2" in page.text
    assert not re.search(r"<script|src=|href='(?!#)|url\(", page.text)


def test_embeddings_are_refused_with_the_reason(client: TestClient) -> None:
    response = client.post(
        "/v1/embeddings", json={"model": "tiny", "input": "a"}, headers={"Authorization": f"Bearer {KEY}"}
    )
    assert response.status_code == 404
    assert "no embedding model" in response.json()["error"]["message"]
    assert response.json()["error"]["code"] == "model_not_found"
