"""Bodies on their way in: each within its size and time, all of them together within the memory that is meant for them."""

import asyncio
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import Receive

from medicalgpt.serve.api.errors import ApiError, shutting_down


class ClientLeft(Exception):
    """Nobody waits for the answer."""


@dataclass(eq=False)
class _Body:
    limit: asyncio.Timeout
    parts: list[bytes] = field(default_factory=list)
    size: int = 0


class Bodies:
    """Those that are not complete. Where they have too much together, the one that has been coming the longest is given up:
    whole bodies come in milliseconds, so this is somebody who sends a little of it and waits.

    Args:
        largest: bytes of one body.
        most: bytes of all.
        seconds: until a body has to be complete.
    """

    def __init__(self, largest: int, most: int, seconds: float) -> None:
        self.largest, self.most, self.seconds = largest, max(most, largest), seconds
        self.closed = False
        self._size = 0
        self._open: dict[_Body, None] = {}  # in the order they came

    async def read(self, receive: Receive, headers: Headers) -> bytes:
        """The whole body.

        Raises:
            ApiError: 413, it is too large, which is said before it is read where its length is given; 408, it takes too long;
                503, the server stops before it is there.
            ClientLeft: the rest will not come.
        """
        length = headers.get("content-length", "")
        if length.isdigit() and (len(length) > 18 or int(length) > self.largest):
            raise self._too_large()
        try:
            async with asyncio.timeout(self.seconds) as limit:
                body = _Body(limit)
                self._open[body] = None
                try:
                    await self._fill(body, receive)
                finally:
                    self._forget(body)
                return b"".join(body.parts)
        except TimeoutError:
            if self.closed:
                raise shutting_down() from None
            message = (
                f"the body was not complete within {self.seconds:g} seconds, or it kept others waiting; send it at once"
            )
            raise ApiError(408, message, code="request_timeout") from None

    async def _fill(self, body: _Body, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            part = message.get("body", b"")
            body.parts.append(part)
            body.size += len(part)
            self._size += len(part) if body in self._open else 0
            if body.size > self.largest:
                raise self._too_large()
            if not message.get("more_body", False):
                return
            while self._size > self.most:
                self._give_up(next(iter(self._open)))

    def close(self) -> None:
        """Give up those that are not complete: the server stops, and they could hold it up."""
        self.closed = True
        for body in tuple(self._open):
            self._give_up(body)

    def _give_up(self, body: _Body) -> None:
        self._forget(body)
        body.limit.reschedule(asyncio.get_running_loop().time())  # wakes its reader with a TimeoutError

    def _forget(self, body: _Body) -> None:
        if body in self._open:
            del self._open[body]
            self._size -= body.size

    def _too_large(self) -> ApiError:
        message = f"the body has more than {self.largest} bytes, which is this server's limit"
        return ApiError(413, message, code="request_too_large")
