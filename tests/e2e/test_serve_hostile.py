"""The command as a process of its own, and requests made to hold it up: `/health` is answered meanwhile, and SIGTERM ends it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.serving import wait_for
from tests.tiny import save_tiny

WORDS = ["--port", "0", "--max-prompt-tokens", "100000"]


def asked(text: str = "a", **fields: Any) -> bytes:
    return json.dumps(
        {"model": "tiny", "messages": [{"role": "user", "content": text}], "max_tokens": 1} | fields
    ).encode()


def costly_tool() -> dict[str, Any]:
    """As many values as a request may have, so that checking the schema takes as long as it can."""
    properties = {f"p{i}": {"type": "string", "pattern": f"^(a|b{i})*$"} for i in range(1_600)}
    return {
        "type": "function",
        "function": {"name": "dose", "parameters": {"type": "object", "properties": properties}},
    }


class Server:
    """A process, and where it listens."""

    def __init__(self, folder: Path, *words: str, files: int | None = None) -> None:
        command = [sys.executable, "-m", "medicalgpt", "serve", "--model", str(folder), "--served-name", "tiny", *words]
        limited = [f'ulimit -n {files} && exec "$@"', "sh"] if files else []
        self.process = subprocess.Popen(
            ["sh", "-c", *limited, *command] if files else command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.port = int(line.split("http://127.0.0.1:")[1].split("/")[0])
        wait_for(self._listens)

    def _listens(self) -> bool:
        try:
            return self.health() == 200
        except urllib.error.URLError:
            return False

    def post(self, body: bytes) -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/chat/completions", body)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def health(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=60) as response:
            return int(response.status)

    def stop(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return log


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("model")
    save_tiny(found)
    return found


@pytest.fixture
def killed_at_last() -> Iterator[list[Server]]:
    found: list[Server] = []
    yield found
    for server in found:
        server.process.kill()


@pytest.mark.slow
def test_health_answers_while_hostile_requests_are_checked(folder: Path, killed_at_last: list[Server]) -> None:
    server = Server(folder, *WORDS)
    killed_at_last.append(server)
    bodies = [
        asked(tools=[costly_tool()]),
        asked("7" * 1_500_000),
        asked(messages=[{"role": "user", "content": "x"}] * 9_999, max_tokens=1),
        b"[" * 200_000,
    ]
    answers: list[int] = []
    askers = [threading.Thread(target=lambda body=body: answers.append(server.post(body))) for body in bodies * 2]
    for asker in askers:
        asker.start()
    slowest, looks = 0.0, 0
    while any(asker.is_alive() for asker in askers):
        begin = time.monotonic()
        assert server.health() == 200
        slowest, looks = max(slowest, time.monotonic() - begin), looks + 1
        time.sleep(0.02)
    print(f"slowest of {looks}: {slowest * 1000:.0f} ms; {answers}")
    assert looks > 5  # it took a while, and nobody waited for all of it
    assert len(answers) == 8
    assert 500 not in answers
    last = threading.Thread(target=lambda: server.post(bodies[1]), daemon=True)
    last.start()
    time.sleep(0.1)
    assert "Traceback" not in server.stop()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="limits of open files")
def test_more_connections_than_open_files(folder: Path, killed_at_last: list[Server]) -> None:
    server = Server(folder, *WORDS, files=256)
    killed_at_last.append(server)
    with ExitStack() as open_ones:
        for _ in range(400):
            open_ones.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        assert server.health() == 200
        assert server.post(asked()) == 200
    log = server.stop()
    assert len(log.splitlines()) < 60
    assert "Traceback" not in log
