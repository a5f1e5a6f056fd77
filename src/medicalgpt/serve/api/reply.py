"""Answers on their way to the client: whole, or as server-sent events."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from medicalgpt.serve.api.errors import ApiError, failed
from medicalgpt.serve.api.exchange import Exchange
from medicalgpt.serve.api.job import Inbox, News
from medicalgpt.serve.api.shape import Choice, Shape


def event(data: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


DONE = b"data: [DONE]\n\n"


def _count(exchange: Exchange, news: News) -> None:
    exchange.completion_tokens += news.tokens
    if news.tokens and exchange.first_token is None:
        exchange.first_token = exchange.seconds


async def whole(shape: Shape, inbox: Inbox, exchange: Exchange) -> Response:
    """Wait for all answers.

    Raises:
        ApiError: 500 or 503, the model failed or the server was stopped.
    """
    found: dict[int, list[Choice]] = defaultdict(list)
    for choice in shape.opening():
        found[choice["index"]].append(choice)
    try:
        async for batch in inbox.news():
            for news in batch:
                _count(exchange, news)
                found[news.choice] += shape.pieces(news)
    except Exception as error:
        raise failed(error, shape.service.stopping) from None
    choices = [shape.merged(found[index]) for index in sorted(found)]
    return JSONResponse(shape.whole(choices, shape.usage(exchange)), headers=shape.headers)


class EventStream(Response):
    """All answers of a request as they come. An error ends the stream as an event, which OpenAI's clients raise."""

    media_type = "text/event-stream"

    def __init__(self, shape: Shape, inbox: Inbox, exchange: Exchange, include_usage: bool) -> None:
        super().__init__(headers={**shape.headers, "Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self.shape, self.inbox, self.exchange, self.include_usage = shape, inbox, exchange, include_usage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything; whoever is cancelled here leaves the rest to `Exchange.leave`."""
        self.exchange.streaming = True
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            await self._send(send, b"".join(map(self._chunk, self.shape.opening())))
            async for batch in self.inbox.news():
                for news in batch:
                    _count(self.exchange, news)
                await self._send(send, b"".join(self._chunk(c) for news in batch for c in self.shape.pieces(news)))
        except Exception as error:
            found = error if isinstance(error, ApiError) else failed(error, self.shape.service.stopping)
            await send({"type": "http.response.body", "body": event(found.body), "more_body": False})
            return
        last = event(self.shape.chunk([]) | self._usage(self.shape.usage(self.exchange))) if self.include_usage else b""
        await send({"type": "http.response.body", "body": last + DONE, "more_body": False})

    async def _send(self, send: Send, body: bytes) -> None:
        if body:
            await send({"type": "http.response.body", "body": body, "more_body": True})

    def _chunk(self, choice: Choice) -> bytes:
        return event(self.shape.chunk([choice]) | self._usage(None))

    def _usage(self, usage: dict[str, Any] | None) -> dict[str, Any]:
        """Every event has the field when it was asked for; only the last one has counts."""
        return {"usage": usage} if self.include_usage else {}
