"""The process around the app: an address, and an end that lets answers finish."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from medicalgpt.network.connections import ConnectionLimits, Connections, GuardedConfig
from medicalgpt.network.log import LOG, log_bug, sparing
from medicalgpt.network.pauses import short_pauses
from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.service import Service

_LOOK_SECONDS = 0.2
_LAST_SECONDS = 1.0
_TICKS = 10  # of a tenth of a second, between two looks at the file of keys


class Server(uvicorn.Server):
    """A server that answers what it has when it is told to stop.

    Args:
        grace: seconds that answers under way have then; what is not done ends with an error that says so.
        drain: seconds before, in which `/health` says so already and requests are still taken: a proxy looks every few
            seconds, and what it sends until it has seen that must not be lost.
        limits: of connections; None: what the system allows.
    """

    def __init__(
        self, service: Service, grace: float = 30.0, limits: ConnectionLimits | None = None, drain: float = 0.0
    ) -> None:
        self.connections = Connections(limits or ConnectionLimits.fitting())
        config = GuardedConfig(
            create_app(service),
            self.connections,
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=5,
        )
        super().__init__(config)
        self.service, self.grace, self.drain = service, grace, drain

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with a log that no flood of bad requests fills."""
        asyncio.get_running_loop().set_exception_handler(_uncaught)
        with sparing(), short_pauses():
            await super().serve(sockets)
            if ended := tuple(self.server_state.tasks):  # cancelled; what they still say is for the same log
                await asyncio.wait(ended, timeout=_LAST_SECONDS)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: also look whether keys have changed, and whether anybody is left who could answer."""
        if counter % _TICKS == 0:
            await asyncio.to_thread(self.service.keys.renew)
        return await super().on_tick(counter) or self.service.live.broken

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so, then refuse what comes, let what is there finish, and close. A second Ctrl-C does not wait."""
        live, clock = self.service.live, asyncio.get_running_loop()
        self.service.draining = True
        until = clock.time() + self.drain
        while not self.force_exit and not live.broken and clock.time() < until:
            await asyncio.sleep(min(_LOOK_SECONDS, max(0.0, until - clock.time())))
        self.service.stopping = True
        self.service.bodies.close()
        until = clock.time() + self.grace
        while not self.force_exit and clock.time() < until:
            if await asyncio.to_thread(live.drain, _LOOK_SECONDS):
                break
        await asyncio.to_thread(live.close)
        self.service.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but a stop that went well is no death by signal: the process exits with 0."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def _uncaught(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody caught on the event loop. asyncio would print its objects, and what they hold."""
    error = context.get("exception")
    if isinstance(error, OSError):
        LOG.warning("a connection failed: %s", error.strerror or type(error).__name__)
    elif isinstance(error, BaseException):
        log_bug(error)
    else:
        LOG.warning("the event loop had a problem without an exception")
