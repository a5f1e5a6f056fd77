"""Connections: how many there may be, and how long one may stay that asks for nothing.

uvicorn counts requests, not connections, and waits for headers as long as anyone likes. Every connection is an open file of
this process, of which there are often no more than 1024.
"""

import asyncio
import ipaddress
import os
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from medicalgpt.errors import ServeError
from medicalgpt.network.log import LOG

_MOST: Final = 1024
_OWN_FILES: Final = 64
"""Files that the process has open for itself."""
_LOOK: Final = 0.1  # seconds between two looks at whose time is up
_ROUNDS: Final = 5
"""Turns of the event loop from accepting a connection until a refused one is closed."""
_REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nRetry-After: 5\r\n\r\n"
    b'{"error": {"message": "too many connections are open; try again later", "type": "service_unavailable", '
    b'"param": null, "code": "too_many_connections"}}'
)


@dataclass(frozen=True)
class ConnectionLimits:
    """How many connections there may be, in all and from one address, and seconds until a request's headers must be there."""

    most: int
    per_address: int
    backlog: int
    header_seconds: float

    @classmethod
    def fitting(
        cls, most: int | None = None, per_address: int | None = None, header_seconds: float = 10.0
    ) -> "ConnectionLimits":
        """Limits as asked for, or what the open files allow that the system grants this process.

        Raises:
            ServeError: more connections than that.
        """
        files = _files()
        backlog = max(1, min(64, files // 16))
        room = max(1, files - _OWN_FILES - _ROUNDS * backlog)
        if most is not None and most > room:
            raise ServeError(
                f"--connections is {most}; this process may have {files} open files, which is enough for {room} connections: "
                "raise the limit (ulimit -n), or lower --connections"
            )
        found = most or min(_MOST, room)
        # One address alone cannot keep all others out; a proxy in front needs more of them and gets them by the option.
        return cls(found, min(found, per_address or max(1, found // 2)), backlog, header_seconds)


def _files() -> int:
    """How many files this process may have open."""
    if os.name != "posix":
        return 8192
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


class Connections:
    """All that are open."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._open: dict[GuardedProtocol, str] = {}
        self._addresses: Counter[str] = Counter()
        self._watching = False

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """End those whose time is up, as long as any are open; whichever server has them, it need not know."""
        if not self._watching:
            self._watching = True
            loop.call_later(_LOOK, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watching = False
        self.sweep(loop.time())
        if self._open:
            self.watch(loop)

    def enter(self, connection: "GuardedProtocol", address: str) -> bool:
        """Whether there is room. In a full house the one goes that has been asking for nothing the longest."""
        if self._addresses[address] >= self.limits.per_address and not self._make_room(address):
            return False
        if len(self._open) >= self.limits.most and not self._make_room(None):
            return False
        self._open[connection] = address
        self._addresses[address] += 1
        return True

    def leave(self, connection: "GuardedProtocol") -> None:
        """It is closed."""
        if (address := self._open.pop(connection, None)) is not None:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    def _make_room(self, address: str | None) -> bool:
        own = [c for c, found in self._open.items() if c.idle_since is not None and address in (None, found)]
        oldest = min(own, key=lambda connection: connection.idle_since or 0, default=None)
        if oldest is None:
            LOG.warning("a connection was refused: %d are open", len(self._open))
            return False
        LOG.warning("a connection that asked for nothing was closed: %d are open", len(self._open))
        self.leave(oldest)
        oldest.transport.abort()
        return True

    def sweep(self, now: float) -> None:
        """Close those whose time is up."""
        for connection in list(self._open):
            since = connection.idle_since
            if since is None and connection.transport.is_closing():  # until the rest is sent, which nobody may read
                connection.idle_since = now
            if since is not None and now - since > self.limits.header_seconds:
                connection.transport.abort()


def _holder(address: str) -> str:
    """Who a connection is counted for: an address, and of IPv6 the /64 that one customer has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


class GuardedConfig(uvicorn.Config):
    """uvicorn's, with the connections that its protocol is to count."""

    def __init__(self, app: Any, connections: Connections, **settings: Any) -> None:
        super().__init__(app, http=GuardedProtocol, backlog=connections.limits.backlog, **settings)
        self.guard = connections


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol for one connection, which is counted and may not wait for ever."""

    config: GuardedConfig

    def __init__(
        self,
        config: GuardedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.guard = config.guard
        self.idle_since: float | None = None
        """Since when the client owes the headers of a request, or reads nothing of what it is told last."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it, or refuse it."""
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        if self.guard.enter(self, _holder(self.client[0] if self.client else "")):
            self.guard.watch(self.loop)
        else:
            transport.write(_REFUSAL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It leaves."""
        self.guard.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of a request; with its headers it becomes one that is answered, which has a time limit of its own."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """From now on it is idle; also where the rest of a body comes that nobody reads."""
        self.idle_since = self.loop.time()
        super().on_response_complete()
        self._look()

    def _look(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.idle_since = None
