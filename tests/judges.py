"""A judge on this machine: an OpenAI-compatible server that says what a test wants of each answer, and notes what it was asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.http_server import listening

Says = Callable[[dict[str, Any], int], Any]
"""From what is to be judged {conversation, answer, criteria} and how often it was asked before to the reply's content; a
number is an HTTP status, bytes are the whole body, and a float how many seconds it says nothing."""


def chat(content: str) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()


class Asked(list[dict[str, Any]]):
    """The requests, and the address of the judge."""

    url = ""
    headers: list[dict[str, str]]

    @property
    def answers(self) -> list[str]:
        """Which answers were judged, in order."""
        return [material(request)["answer"] for request in self]


def material(request: dict[str, Any]) -> dict[str, Any]:
    """What a request asks to be judged."""
    found: dict[str, Any] = json.loads(request["messages"][-1]["content"])
    return found


@contextmanager
def judge(says: Says) -> Iterator[Asked]:
    asked, lock = Asked(), threading.Lock()
    asked.headers = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                before = asked.answers.count(material(request)["answer"])
                asked.append(request)
                asked.headers.append(dict(self.headers) | {"path": self.path})
            said = says(material(request), before)
            if isinstance(said, float):
                time.sleep(said)
            status = said if isinstance(said, int) else 200
            body = said if isinstance(said, bytes) else chat(said if isinstance(said, str) else "")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "http://localhost:9/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # who asked does not wait any longer
                return

    with listening(Handler) as address:
        asked.url = f"{address}/v1"
        yield asked
