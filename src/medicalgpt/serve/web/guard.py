"""Gradio's own server with the limits of connections that the API has.

Gradio makes the server by itself and takes no settings for it, so while the page starts it finds our configuration in the place
of uvicorn's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import uvicorn

from medicalgpt.network.connections import Connections, GuardedConfig


class _Guarding:
    """In the place of `uvicorn`: a configuration whose connections are counted. The page needs no web sockets."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def __getattr__(self, name: str) -> object:
        return self._config if name == "Config" else getattr(uvicorn, name)

    def _config(self, app: Any, **settings: Any) -> GuardedConfig:
        return GuardedConfig(app, self._connections, ws="none", **settings)


@contextmanager
def guarded(connections: Connections) -> Iterator[None]:
    """While the page starts: the server that is made counts its connections."""
    server = import_module("gradio.http_server")
    vars(server)["uvicorn"] = _Guarding(connections)
    try:
        yield
    finally:
        vars(server)["uvicorn"] = uvicorn
