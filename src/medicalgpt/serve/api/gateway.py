"""The door: who may come in, how much they may bring, how long they may stay. Every request passes it once."""

import asyncio
from collections import deque
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medicalgpt.network.address import named_locally
from medicalgpt.network.log import LOG
from medicalgpt.serve.api.bodies import ClientLeft
from medicalgpt.serve.api.errors import ApiError, failed, shutting_down
from medicalgpt.serve.api.exchange import CLIENT_LEFT, Exchange
from medicalgpt.serve.api.metrics import Metrics
from medicalgpt.serve.api.service import Service
from medicalgpt.serve.api.stream import event

OPEN_TO_ALL = frozenset({"/health"})
_ASKED = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings")
KNOWN = (*OPEN_TO_ALL, "/metrics", *_ASKED, "/v1/models", "/openapi.json", "/docs")
_LAST_WORD_SECONDS = 1.0


class Gateway:
    """Checks host, key, room and size; reads the body; then answers, until done, too late, or the client has left.

    One line is logged for every request: no body, no query, and of the path only what this server knows.
    """

    def __init__(self, app: ASGIApp, service: Service, metrics: Metrics) -> None:
        self.app, self.service, self.metrics = app, service, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(next((known for known in KNOWN if _below(scope["path"], known)), "other"))
        exchange.keep_in(scope)
        out = _Out(exchange, send, self.service)
        try:
            async with asyncio.timeout(self.service.limits.timeout):
                await self._answer(scope, receive, out, exchange)
        except TimeoutError:
            seconds = f"{self.service.limits.timeout:g}"
            message = f"not done after {seconds} seconds, which is this server's limit; ask for a shorter answer"
            # Asking again would take as long again; OpenAI's clients do so by themselves, unless told not to.
            await out.last_word(ApiError(504, message, code="timeout", headers={"X-Should-Retry": "false"}))
        except ClientLeft:
            exchange.status = CLIENT_LEFT
        except ApiError as error:
            await out.last_word(error)
        except Exception as error:
            await out.last_word(failed(error))
        finally:
            exchange.leave()
            self._note(scope["method"], exchange)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, exchange: Exchange) -> None:
        headers = Headers(scope=scope)
        exchange.key = self._check(exchange.path, headers)
        if scope["method"] == "POST" and self.service.stopping:
            raise shutting_down()
        body = await self.service.bodies.read(receive, headers)
        if scope["method"] == "POST":  # not before: a place is for work, and not for waiting for what may never come
            exchange.enter(self.service.room, self.service.most_each)
        gone = asyncio.Event()
        work = asyncio.ensure_future(self.app(scope, _again(body, gone), send))
        watch = asyncio.create_task(_until_left(receive))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientLeft
            await work
        finally:
            gone.set()
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    def _check(self, path: str, headers: Headers) -> bytes:
        """Whether this client may ask; gives its key's digest, which is empty where there are no keys.

        Raises:
            ApiError: 401 or 403.
        """
        if path in OPEN_TO_ALL:
            return b""
        if self.service.keys:
            key = self.service.keys.accept(headers.get("authorization", ""))
            if key is None:
                raise ApiError(
                    401,
                    "no valid API key; send it as Authorization: Bearer KEY",
                    code="invalid_api_key",
                    headers={"WWW-Authenticate": "Bearer"},
                )
            return key
        if self.service.local_only and not named_locally(headers.get("host", "")):
            raise ApiError(403, "this server answers only requests to localhost or 127.0.0.1", code="wrong_host")
        return b""

    def _note(self, method: str, exchange: Exchange) -> None:
        self.metrics.count(exchange)
        LOG.info(
            "%s %s %d %.0f ms, %d + %d tokens, %s",
            method if method in ("GET", "POST", "HEAD", "OPTIONS") else "other",
            exchange.path,
            exchange.status,
            exchange.seconds * 1000,
            exchange.prompt_tokens,
            exchange.completion_tokens,
            exchange.id,
        )


class _Out:
    """The way to the client; knows what was sent."""

    def __init__(self, exchange: Exchange, send: Send, service: Service) -> None:
        self.exchange, self._send, self._service = exchange, send, service
        self._started = self._complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started, self.exchange.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.exchange.id
            if self._service.draining:  # a client that keeps its connection would stay with a server that goes
                headers["Connection"] = "close"
        elif not message.get("more_body", False):
            self._complete = True
        await self._send(message)

    async def last_word(self, error: ApiError) -> None:
        """Say what went wrong, if it can still be said; a client that reads nothing is not waited for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORD_SECONDS):
                if not self._started:
                    await _send_all(error.response, self)
                elif self.exchange.streaming and not self._complete:
                    await self({"type": "http.response.body", "body": event(error.body), "more_body": False})
        if self._started:
            self.exchange.status = error.status


async def _send_all(response: Response, send: Send) -> None:
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": bytes(response.body), "more_body": False})


def _below(path: str, known: str) -> bool:
    return path == known or path.startswith(f"{known}/")


def _again(body: bytes, gone: asyncio.Event) -> Receive:
    """The body for the app, which has been read already."""
    messages: deque[Message] = deque([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        if messages:
            return messages.popleft()
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
