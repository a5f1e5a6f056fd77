"""The page's server counts its connections, as the API's does."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import uvicorn
from gradio import Blocks, http_server
from tests.serving import wait_for

from medicalgpt.network.connections import ConnectionLimits, Connections
from medicalgpt.serve.web.guard import guarded
from medicalgpt.serve.web.launch import Place


@pytest.fixture(scope="module")
def page() -> Iterator[tuple[Connections, int]]:
    """An empty page with room for six connections, four of one address, and its port."""
    connections = Connections(ConnectionLimits(6, 4, 16, header_seconds=0.5))
    with Blocks(analytics_enabled=False) as blocks:
        pass
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with guarded(connections):
        blocks.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, ssr_mode=False)
    assert http_server.uvicorn is uvicorn
    yield connections, port
    blocks.close(verbose=False)


def _asked(sock: socket.socket) -> bytes:
    sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    return sock.recv(12)


def test_those_that_ask_for_nothing_make_room_and_end(page: tuple[Connections, int]) -> None:
    connections, port = page
    wait_for(lambda: not connections._open)  # Gradio's own, while it started
    with ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(20)]
        with socket.create_connection(("127.0.0.1", port), 10) as asking:
            assert _asked(asking) == b"HTTP/1.1 200"
        assert len(connections._open) <= 4
        assert all(sock.recv(1) == b"" for sock in idle[4:])  # the last ones after half a second
    wait_for(lambda: not connections._open)
    wait_for(lambda: not connections._watching)


def test_a_proxy_or_a_tunnel_may_have_all_connections() -> None:
    alone = Place().connections
    assert alone.per_address == max(1, alone.most // 2)
    for place in (Place(share=True), Place(allow_host=("ward.example",))):
        assert place.connections.per_address == place.connections.most == alone.most
