"""A server that is told to stop: readiness turns red first, then requests are refused, and what is under way ends whole."""

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.serving import wait_for
from tests.tiny import save_tiny
from tests.unit.serve.test_deploy import FOLDER, proxy_file

pytestmark = pytest.mark.slow
# A token takes this long, so that an answer is under way for seconds.
SLOW = """
import sys, time
from medicalgpt.generate.backends.decoder.pool import Pool
step = Pool.step
Pool.step = lambda self: (time.sleep(0.05), step(self))[1]
from medicalgpt.cli import main
sys.argv = ["medicalgpt", *sys.argv[1:]]
sys.exit(main())
"""
TOKENS = 100


class Served:
    """`medicalgpt serve` in a process of its own."""

    def __init__(self, model: Path, *words: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        command = ["serve", "--model", str(model), "--served-name", "tiny", "--port", str(self.port), *words]
        self.process = subprocess.Popen(
            [sys.executable, "-c", SLOW, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.url = f"http://127.0.0.1:{self.port}"

    def health(self) -> tuple[int, str]:
        """Status and word; (0, "") where nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as response:
                return response.status, json.load(response)["status"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["status"]
        except OSError:
            return 0, ""


@contextmanager
def serving(model: Path, *words: str) -> Iterator[Served]:
    served = Served(model, *words)
    try:
        yield served
    finally:
        served.process.kill()
        served.process.communicate()


def ask(url: str, context: ssl.SSLContext | None = None, **fields: Any) -> Any:
    body = {"model": "tiny", "prompt": "A fever", "max_tokens": TOKENS, "temperature": 1, "seed": 4, **fields}
    body |= {"logit_bias": {"0": -100, "2": -100}}  # no stop token
    request = urllib.request.Request(
        f"{url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return urllib.request.urlopen(request, timeout=120, context=context)


def streamed(response: Any) -> Iterator[str]:
    """Texts of a stream's pieces; the last word is [DONE]."""
    for line in response:
        if line.startswith(b"data: {"):
            found = json.loads(line[6:])
            yield "".join(choice["text"] for choice in found["choices"]) if "choices" in found else f"ERROR {found}"
        elif line.startswith(b"data: "):
            yield line[6:].decode().strip()


def closes(server: Served) -> bool:
    """Whether a client that would keep its connection is told to come back with another."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/v1/models")
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.will_close


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


def test_readiness_turns_red_first_then_requests_are_refused_and_a_stream_ends_whole(model: Path) -> None:
    with serving(model, "--drain", "1.5", "--grace", "60") as server:
        wait_for(lambda: server.health() == (200, "ok"), 120)
        whole = "".join(piece["text"] for piece in json.load(ask(server.url))["choices"])
        pieces: list[str] = []
        reader = threading.Thread(target=lambda: pieces.extend(streamed(ask(server.url, stream=True))))
        reader.start()
        wait_for(lambda: len(pieces) > 3)
        assert not closes(server)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.health() == (503, "draining"), 1.4)
        late = ask(server.url, max_tokens=1)  # a proxy that has not looked yet
        assert late.status == 200
        assert closes(server)
        wait_for(lambda: server.health() == (503, "stopping"), 10)
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(server.url)
        assert refused.value.code == 503
        assert refused.value.headers["Retry-After"] == "1"
        assert json.load(refused.value)["error"]["code"] == "shutting_down"
        assert pieces[-1] != "[DONE]"  # all of that while the stream is under way
        reader.join(60)
        assert pieces[-1] == "[DONE]"
        assert "".join(pieces[:-1]) == whole
        assert server.process.wait(60) == 0


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_behind_nginx_nothing_is_lost_when_a_server_is_stopped(model: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = (FOLDER / "nginx.conf").read_text(encoding="utf-8")
    with serving(model) as first, serving(model) as second:
        for server in (first, second):
            wait_for(lambda server=server: server.health() == (200, "ok"), 120)
        written = proxy_file(text, tmp_path, [f"127.0.0.1:{x.port}" for x in (first, second)], port)
        with subprocess.Popen(["nginx", "-c", written, "-g", "daemon off;"], stderr=subprocess.PIPE) as proxy:
            try:
                context = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
                url = f"https://127.0.0.1:{port}"
                wait_for(lambda: _listens(port))
                whole = json.load(ask(url, context))["choices"][0]["text"]
                found: list[str] = []
                moments: list[float] = []

                def read() -> None:
                    for piece in streamed(ask(url, context, stream=True)):
                        moments.append(time.monotonic())
                        found.append(piece)

                reader = threading.Thread(target=read)
                reader.start()
                wait_for(lambda: len(found) > 3)
                first.process.send_signal(signal.SIGTERM)
                wait_for(lambda: first.health()[0] in (503, 0), 20)
                # Every one of these is answered, whichever server has it.
                for number in range(6):
                    assert json.load(ask(url, context, max_tokens=2, seed=number))["usage"]["completion_tokens"] == 2
                reader.join(60)
                assert found[-1] == "[DONE]"
                assert "".join(found[:-1]) == whole
                assert moments[-1] - moments[0] > 1  # piece by piece, not all at the end
                assert first.process.wait(60) == 0
                with pytest.raises(urllib.error.HTTPError) as hidden:
                    urllib.request.urlopen(f"{url}/metrics", context=context, timeout=10)
                assert hidden.value.code == 404
            finally:
                proxy.terminate()
                proxy.communicate(timeout=20)
    assert "A fever" not in (tmp_path / "access.log").read_text(encoding="utf-8")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
