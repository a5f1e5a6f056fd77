"""The process around the app: an address, and an end that lets answers finish."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from medicalgpt.serve.api.app import create_app
from medicalgpt.serve.api.service import Service

_LOOK_SECONDS = 0.2


class Server(uvicorn.Server):
    """A server that answers what it has when it is told to stop.

    Args:
        grace: seconds that answers under way have then; what is not done ends with an error that says so.
    """

    def __init__(self, service: Service, grace: float = 30.0) -> None:
        config = uvicorn.Config(
            create_app(service),
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
        self.service, self.grace = service, grace

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse what comes, let what is there finish, then close. A second Ctrl-C does not wait."""
        self.service.stopping = True
        live, clock = self.service.live, asyncio.get_running_loop()
        until = clock.time() + self.grace
        while not self.force_exit and clock.time() < until:
            if await asyncio.to_thread(live.drain, _LOOK_SECONDS):
                break
        await asyncio.to_thread(live.close)
        self.service.readers.shutdown(wait=False, cancel_futures=True)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but a stop that went well is no death by signal: the process exits with 0."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()
