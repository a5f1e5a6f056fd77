"""What a refusing service says: kept apart from the message, on one line, bounded, and never an error of its own."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from tests.http_server import listening

from medicalgpt.rewards.posting import PostError, post_json


def refused(body: bytes, length: int | None = None) -> PostError:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(400)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with listening(Handler) as url, pytest.raises(PostError) as caught:
        post_json(f"{url}/", b"{}", 10.0, 1000)
    return caught.value


def test_the_reason_stands_beside_the_message() -> None:
    error = refused(json.dumps({"error": {"message": "no\x1b[2J  adapter\nhere", "code": 400}}).encode())
    assert (str(error), error.status, error.late) == ("refuses (Bad Request)", 400, False)
    assert error.said == "no [2J adapter here"


def test_a_long_reason_is_cut() -> None:
    assert refused(json.dumps({"error": {"message": "x" * 5000}}).encode()).said == "x" * 300


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[1]", b'{"error": "Unauthorized"}', b'{"error": {"message": 7}}', b"[" * 60000, b"x" * 100000],
)
def test_other_answers_give_no_reason(body: bytes) -> None:
    error = refused(body)
    assert (error.status, error.said) == (400, "")


def test_an_answer_that_breaks_off_gives_no_reason() -> None:
    assert refused(b'{"error": {"message": "half', length=100).said == ""
