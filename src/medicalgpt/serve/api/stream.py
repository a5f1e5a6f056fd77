"""A request's answers on their way to the client: from the worker's thread to the event loop, then whole or as server-sent events."""

import asyncio
import json
import secrets
import time
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from medicalgpt.generate.backends.decoder.token_score import TokenScore
from medicalgpt.generate.live.request import Finish, Piece, Sink
from medicalgpt.serve.api.errors import failed
from medicalgpt.serve.api.exchange import Exchange
from medicalgpt.serve.api.service import Service


@dataclass
class News:
    """What came of one answer since it was last asked."""

    choice: int
    text: str = ""
    tokens: int = 0
    scored: list[tuple[int, TokenScore]] = field(default_factory=list)
    finish: Finish | None = None
    end: tuple[int, TokenScore] | None = None
    prompt: Sequence[TokenScore] | None = None


class Inbox:
    """Pieces of an HTTP request's answers, which may come from several prompts.

    What waits here is never more than the answers' tokens, which are limited; see `exchange.Room`.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[tuple[int, Piece | Exception]] = deque()
        self._arrived = asyncio.Event()
        self._called = False
        self._open = 0

    def sink(self, first_choice: int, answers: int) -> Sink:
        """Where a prompt's answers go, which are numbered from `first_choice`. May be called from any thread."""
        self._open += answers

        def take(item: Piece | Exception) -> None:
            self._items.append((first_choice, item))
            if not self._called:  # one call wakes the loop, however much comes until it looks
                self._called = True
                try:
                    self._loop.call_soon_threadsafe(self._arrived.set)
                except RuntimeError:  # the loop is closed: nobody waits, and the worker must go on
                    self._items.clear()

        return take

    async def news(self) -> AsyncIterator[list[News]]:
        """What came, at most one item for each answer, until all are complete.

        Raises:
            Exception: whatever ended a request.
        """
        while self._open:
            await self._arrived.wait()
            self._arrived.clear()
            self._called = False
            if found := self._taken():
                yield found

    def _taken(self) -> list[News]:
        found: dict[int, News] = {}
        while self._items:
            first, item = self._items.popleft()
            if isinstance(item, Exception):
                raise item
            choice = first + item.choice
            news = found.setdefault(choice, News(choice))
            news.text += item.text
            news.prompt = item.prompt if news.prompt is None else news.prompt
            if item.token is not None:
                news.tokens += 1
                if item.score:
                    news.scored.append((item.token, item.score))
            if item.finish:
                news.finish, news.end = item.finish, item.end
                self._open -= 1
        return list(found.values())


Choice = dict[str, Any]


class Envelope(ABC):
    """How one kind of completion is written. A whole choice is merged from the pieces that a stream would bring."""

    kind: ClassVar[str]
    chunk_kind: ClassVar[str]
    prefix: ClassVar[str]
    takes_long = False
    """Whether `pieces` may be busy for long, as where calls are checked against schemas of strangers."""

    def __init__(self, service: Service, asked: str, dropped_turns: int = 0) -> None:
        self.service, self.dropped_turns = service, dropped_turns
        self.model = service.answered_as(asked)
        self.id = f"{self.prefix}-{secrets.token_hex(12)}"
        self.created = int(time.time())

    @abstractmethod
    def opening(self) -> list[Choice]:
        """Pieces that come before anything is known of the answers."""

    @abstractmethod
    def pieces(self, news: News) -> list[Choice]:
        """Pieces of one answer."""

    @abstractmethod
    def merged(self, pieces: Sequence[Choice]) -> Choice:
        """All pieces of one answer as a whole choice."""

    def chosen(self, choices: list[Choice]) -> list[Choice]:
        """Those of all whole choices that the client gets."""
        return choices

    async def read(self, batch: Sequence[News]) -> list[tuple[int, list[Choice]]]:
        """Pieces of several answers, each with its answer's number; on another thread where that may take long."""

        def all_pieces() -> list[tuple[int, list[Choice]]]:
            return [(news.choice, self.pieces(news)) for news in batch]

        return await self.service.check(all_pieces) if self.takes_long else all_pieces()

    def chunk(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """A piece of a stream."""
        return self._envelope(self.chunk_kind, choices)

    def whole(self, choices: Sequence[Choice], usage: dict[str, Any]) -> dict[str, Any]:
        """A complete answer."""
        return self._envelope(self.kind, choices) | {"usage": usage}

    def usage(self, exchange: Exchange) -> dict[str, Any]:
        """Tokens that were read and written; old turns that were left out, where there are any."""
        prompt, completion = exchange.prompt_tokens, exchange.completion_tokens
        dropped = {"dropped_turns": self.dropped_turns} if self.dropped_turns else {}
        counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return counts | dropped

    @property
    def headers(self) -> dict[str, str]:
        """What a client should know that the body has no place for."""
        return {"X-Dropped-Turns": str(self.dropped_turns)} if self.dropped_turns else {}

    def _envelope(self, kind: str, choices: Sequence[Choice]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.service.fingerprint,
            "choices": list(choices),
        }


def event(data: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


DONE = b"data: [DONE]\n\n"


def count(exchange: Exchange, batch: Sequence[News]) -> None:
    """Add the tokens that came to what is known of a request."""
    tokens = sum(news.tokens for news in batch)
    exchange.completion_tokens += tokens
    if tokens and exchange.first_token is None:
        exchange.first_token = exchange.seconds


async def whole(envelope: Envelope, inbox: Inbox, exchange: Exchange) -> Response:
    """Wait for all answers.

    Raises:
        ApiError: 500 or 503, the model failed or the server was stopped.
    """
    found: dict[int, list[Choice]] = defaultdict(list)
    for choice in envelope.opening():
        found[choice.get("index", 0)].append(choice)  # a response's events have none: it is one answer
    try:
        async for batch in inbox.news():
            count(exchange, batch)
            for number, pieces in await envelope.read(batch):
                found[number] += pieces
    except Exception as error:
        raise failed(error, envelope.service.stopping) from None
    choices = envelope.chosen([envelope.merged(found[index]) for index in sorted(found)])
    return JSONResponse(envelope.whole(choices, envelope.usage(exchange)), headers=envelope.headers)


class EventStream(Response):
    """All answers of a request as they come. An error ends the stream as an event, which OpenAI's clients raise."""

    media_type = "text/event-stream"

    def __init__(self, envelope: Envelope, inbox: Inbox, exchange: Exchange, include_usage: bool) -> None:
        super().__init__(headers={**envelope.headers, "Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self.envelope, self.inbox, self.exchange, self.include_usage = envelope, inbox, exchange, include_usage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything; whoever is cancelled here leaves the rest to `Exchange.leave`."""
        self.exchange.streaming = True
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            await self._send(send, b"".join(map(self._chunk, self.envelope.opening())))
            async for batch in self.inbox.news():
                count(self.exchange, batch)
                read = await self.envelope.read(batch)
                await self._send(send, b"".join(self._chunk(piece) for _, pieces in read for piece in pieces))
        except Exception as error:
            found = failed(error, self.envelope.service.stopping)
            await send({"type": "http.response.body", "body": event(found.body), "more_body": False})
            return
        await send({"type": "http.response.body", "body": self._last(), "more_body": False})

    async def _send(self, send: Send, body: bytes) -> None:
        if body:
            await send({"type": "http.response.body", "body": body, "more_body": True})

    def _chunk(self, choice: Choice) -> bytes:
        return event(self.envelope.chunk([choice]) | self._usage(None))

    def _last(self) -> bytes:
        if not self.include_usage:
            return DONE
        return event(self.envelope.chunk([]) | self._usage(self.envelope.usage(self.exchange))) + DONE

    def _usage(self, usage: dict[str, Any] | None) -> dict[str, Any]:
        """Every event has the field when it was asked for; only the last one has counts."""
        return {"usage": usage} if self.include_usage else {}
