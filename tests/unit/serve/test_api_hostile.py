"""A real server and raw sockets: whoever sends half of something, too much of it, or what takes long to check, delays nobody."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from tests.serving import Running, engine_of, running, served, wait_for

from medicalgpt.errors import ServeError
from medicalgpt.network import connections
from medicalgpt.network.access import ApiKeys
from medicalgpt.network.connections import ConnectionLimits
from medicalgpt.serve.api import chat
from medicalgpt.serve.api.bounds import MOST_FIELDS, MOST_NAMES, MOST_TURNS, MOST_VALUES
from medicalgpt.serve.api.service import Limits

PATH = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "a"}], "max_tokens": 1}
TOOL = {"type": "function", "function": {"name": "dose", "parameters": {"type": "object"}}}
FEW = ConnectionLimits(most=8, per_address=8, backlog=16, header_seconds=60)


@contextmanager
def server(of_connections: ConnectionLimits = FEW, **settings: Any) -> Iterator[Running]:
    limits = {"limits": Limits(max_tokens=8, max_body=50_000, body_timeout=60)}
    with (
        served(engine_of(), slots=1, queue=1, **limits | settings) as service,
        running(service, 10, of_connections) as found,
    ):
        yield found


def connect(found: Running) -> socket.socket:
    return socket.create_connection(found.address, timeout=30)


def post(body: bytes, key: str = "", length: int | None = None) -> bytes:
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {key}\r\n" if key else ""
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def answer(sock: socket.socket) -> tuple[int, bytes]:
    """Status and all that comes with it; 0 where the connection was closed without a word."""
    response = b""
    while b"\r\n\r\n" not in response:
        try:
            more = sock.recv(65536)
        except ConnectionError:
            more = b""
        if not more:
            return 0, response
        response += more
    head, _, body = response.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += sock.recv(65536)
    return int(head.split()[1]), body


def ask(found: Running, **fields: Any) -> tuple[int, bytes]:
    with connect(found) as sock:
        sock.sendall(post(json.dumps(ASKED | fields).encode()))
        return answer(sock)


def health(found: Running) -> int:
    with connect(found) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        return answer(sock)[0]


# -- what takes long ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("place", ["_understood", "pieces"])
def test_checks_that_take_long_hold_nobody_up(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    owner: Any = chat if place == "_understood" else chat.ChatEnvelope
    real = getattr(owner, place)

    def slow(*given: Any) -> Any:
        begun.set()
        assert go_on.wait(30)
        return real(*given)

    monkeypatch.setattr(owner, place, slow)
    found: list[int] = []
    with server() as running_server:
        asker = threading.Thread(target=lambda: found.append(ask(running_server, tools=[TOOL])[0]))
        asker.start()
        assert begun.wait(30)
        assert health(running_server) == 200
        assert not found
        go_on.set()
        asker.join(30)
    assert found == [200]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[" + b"1," * MOST_VALUES, "commas and brackets"),
        (b"{" + b'"":1,' * (MOST_NAMES + 1), "colons"),
        (json.dumps(ASKED | {f"a{i}": 1 for i in range(1_000)}).encode(), f"more than {MOST_FIELDS} fields"),
        (json.dumps(ASKED | {"messages": [{}] * (MOST_TURNS + 1)}).encode(), f"at most {MOST_TURNS} items"),
        (json.dumps(ASKED | {"tools": [TOOL] * 129}).encode(), "at most 128 items"),
        (
            json.dumps(ASKED | {"logit_bias": {f"a{i}": [] for i in range(60_000)}}).encode(),
            "60000 entries; allowed: at most 1024",
        ),
        (
            json.dumps(ASKED | {"chat_template_kwargs": {f"a{i}": [] for i in range(60_000)}}).encode(),
            "allowed: at most 16",
        ),
        (b'{"seed": ' + b"7" * 400_000 + b"}", "not valid JSON"),
    ],
    ids=["values", "names", "fields", "turns", "tools", "biases", "settings", "digits"],
)
def test_more_than_a_request_may_consist_of(body: bytes, words: str) -> None:
    with server(limits=Limits(max_body=2**20)) as found, connect(found) as sock:
        sock.sendall(post(body))
        status, said = answer(sock)
    assert status == 400
    assert words in said.decode()


def test_long_texts_are_refused_before_they_are_tokenized(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(limits=Limits(max_tokens=8, max_prompt_tokens=100)) as found:
        engine = found.service.live.engine
        monkeypatch.setattr(type(engine), "prepare", lambda *given: pytest.fail("was tokenized"))
        monkeypatch.setattr(type(engine.tokenizer), "__call__", lambda *given: pytest.fail("was tokenized"))
        long = {"role": "user", "content": "7" * 1601}
        for messages in ([long], [{"role": "system", "content": "7" * 1601}, ASKED["messages"][0]]):
            status, said = ask(found, messages=messages)
            assert status == 400
            assert json.loads(said)["error"]["code"] == "context_length_exceeded"
            assert "at most 1600" in said.decode()
        with connect(found) as sock:
            body = json.dumps({"model": "tiny", "prompt": ["a" * 1601]}).encode()
            sock.sendall(post(body).replace(PATH.encode(), b"/v1/completions"))
            assert answer(sock)[0] == 400


def test_old_turns_of_a_long_conversation_still_go() -> None:
    turns = [{"role": "user", "content": "fever " * 200}, {"role": "assistant", "content": "rest"}]
    with server(limits=Limits(max_tokens=8, max_prompt_tokens=512)) as found:
        assert ask(found, messages=[*turns * 10, ASKED["messages"][0]])[0] == 200


# -- half of a request --------------------------------------------------------------------------------------------------
def test_headers_that_do_not_come_end_the_connection() -> None:
    with server(ConnectionLimits(8, 8, 16, header_seconds=0.2)) as found:
        with connect(found) as silent, connect(found) as half:
            half.sendall(b"GET /health HTTP/1.1\r\nHo")
            assert answer(silent)[0] == answer(half)[0] == 0
        assert health(found) == 200
        wait_for(lambda: not found.server.server_state.connections)


def test_bytes_that_drip_in_after_the_answer_end_the_connection() -> None:
    with server(ConnectionLimits(8, 8, 16, header_seconds=0.5)) as found, connect(found) as sock:
        sock.sendall(post(b"", length=10**9))
        assert answer(sock)[0] == 413

        def ended() -> bool:
            try:
                sock.sendall(b"x")
            except ConnectionError:
                return True
            return False

        wait_for(ended)


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with server(limits=Limits(body_timeout=0.2)) as found, connect(found) as sock:
        sock.sendall(post(b"{", length=100))
        status, said = answer(sock)
        assert status == 408
        assert json.loads(said)["error"]["code"] == "request_timeout"
        assert found.service.bodies._size == 0


def test_unfinished_bodies_take_no_places() -> None:
    with server(ConnectionLimits(16, 16, 16, 60)) as found, ExitStack() as open_ones:
        for _ in range(6):  # there is room for two
            sock = open_ones.enter_context(connect(found))
            sock.sendall(post(b"{", length=100))
        wait_for(lambda: len(found.service.bodies._open) == 6)
        assert ask(found)[0] == 200


def test_unfinished_bodies_do_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as open_ones:
        with server(ConnectionLimits(16, 16, 16, 60)) as found:
            socks = [open_ones.enter_context(connect(found)) for _ in range(6)]
            for sock in socks:
                sock.sendall(post(b"{", length=100))
            wait_for(lambda: len(found.service.bodies._open) == 6)
            begin = time.monotonic()
        assert time.monotonic() - begin < 4  # uvicorn waits for five seconds
        said = [answer(sock) for sock in socks]
    assert [status for status, _ in said] == [503] * 6
    assert json.loads(said[0][1])["error"]["code"] == "shutting_down"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_body_that_came_slowest_gives_way_where_memory_is_short() -> None:
    with server() as found, connect(found) as slow, connect(found) as other:
        found.service.bodies.most = 60_000
        slow.sendall(post(b"{" * 40_000, length=45_000))
        wait_for(lambda: found.service.bodies._size >= 40_000)
        other.sendall(post(b"{" * 40_000, length=45_000))
        assert answer(slow)[0] == 408
        other.sendall(b"{" * 5_000)
        assert answer(other)[0] == 400  # complete, and no JSON
        wait_for(lambda: found.service.bodies._size == 0)


# -- too many of them ---------------------------------------------------------------------------------------------------
def test_idle_connections_make_room_for_one_that_asks() -> None:
    with server() as found, ExitStack() as open_ones:
        idle = [open_ones.enter_context(connect(found)) for _ in range(30)]
        wait_for(lambda: len(found.server.connections._open) == 8)
        assert health(found) == 200
        assert answer(idle[0])[0] == 0
        assert ask(found)[0] == 200


def test_connections_that_are_answered_are_not_closed_for_others() -> None:
    with server(ConnectionLimits(3, 2, 16, 60)) as found, connect(found) as first, connect(found) as second:
        for sock in (first, second):
            sock.sendall(post(b"{", length=10))
        wait_for(lambda: len(found.service.bodies._open) == 2)
        with connect(found) as third:
            assert answer(third)[0] == 503
        first.sendall(b" " * 9)
        assert answer(first)[0] == 400


def test_limits_of_connections_follow_the_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_files", lambda: 1024)
    found = ConnectionLimits.fitting()
    assert found.most + found.backlog * 5 + 64 == 1024
    assert found.per_address == found.most // 2
    assert ConnectionLimits.fitting(10, 100).per_address == 10
    with pytest.raises(ServeError, match="may have 1024 open files"):
        ConnectionLimits.fitting(1000)
    monkeypatch.setattr(connections, "_files", lambda: 64)
    assert 0 < ConnectionLimits.fitting().most < 64


@pytest.mark.parametrize(
    ("address", "holder"),
    [("10.0.0.7", "10.0.0.7"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("fe80::1%eth0", "fe80::/64"), ("", "")],
)
def test_who_a_connection_is_counted_for(address: str, holder: str) -> None:
    assert connections._holder(address) == holder


# -- keys ---------------------------------------------------------------------------------------------------------------
def test_one_key_cannot_take_all_places() -> None:
    keys = ["sk-0123456789", "sk-9876543210"]
    with server(keys=ApiKeys(keys)) as found:
        room = found.service.room
        digest = found.service.keys.accept(f"Bearer {keys[0]}")
        assert digest is not None
        room.by_key[digest] += 1  # of two places in all
        body = json.dumps(ASKED).encode()
        for key, status in zip(keys, (429, 200)):
            with connect(found) as sock:
                sock.sendall(post(body, key))
                assert answer(sock)[0] == status
        wait_for(lambda: not room.requests)
        assert dict(room.by_key) == {digest: 1}
    with server(keys=ApiKeys(keys[:1])) as found:
        assert found.service.most_each == 2
    with server(keys=ApiKeys(keys), limits=Limits(per_key=1)) as found:
        assert found.service.most_each == 1
