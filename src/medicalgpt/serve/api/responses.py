"""`POST /v1/responses`: a conversation in OpenAI's newer form. Nothing is kept: every request brings its whole conversation."""

from collections.abc import Sequence
from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from medicalgpt.generate.live.request import Finish
from medicalgpt.serve.api import ask, chat, stream
from medicalgpt.serve.api.errors import ApiError
from medicalgpt.serve.api.exchange import Exchange
from medicalgpt.serve.api.responses_input import ResponsesRequest
from medicalgpt.serve.api.responses_output import OutputItems
from medicalgpt.serve.api.schema import ChatRequest, parse
from medicalgpt.serve.api.service import Service
from medicalgpt.serve.api.stream import Choice, Envelope, EventStream, News

_NAMES: Final = {
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
}


async def complete(request: Request, service: Service) -> Response:
    """Answer a conversation.

    Raises:
        ApiError: see there.
    """
    exchange = Exchange.of(request.scope)
    try:
        asked, as_chat = await service.check(_read, await request.body())
        ready = await chat.prepare(as_chat, service)
    except ApiError as error:
        raise _renamed(error) from None
    if asked.truncation == "disabled" and ready.encoded.dropped_turns:
        message = f"{ready.encoded.dropped_turns} turns do not fit into the context, and truncation is disabled"
        raise ApiError(400, message, param="truncation", code="context_length_exceeded")
    inbox = ask.submit([ready.encoded], as_chat, service, exchange, n=1, top=None, constraint=ready.constraint)
    envelope = ResponseEnvelope(service, asked, ready, exchange)
    if asked.stream:
        return ResponseStream(envelope, inbox, exchange, include_usage=False)
    return await stream.whole(envelope, inbox, exchange)


def _renamed(error: ApiError) -> ApiError:
    """An error about the older form's fields, by the names that they have in this one."""
    param, message = error.param or "", error.message
    for old, new in _NAMES.items():
        if param == old or param.startswith(f"{old}."):
            param, message = param.replace(old, new, 1), message.replace(old, new)
    return ApiError(error.status, message, param=param or None, code=error.code, headers=error.headers)


def _read(body: bytes) -> tuple[ResponsesRequest, ChatRequest]:
    asked = parse(ResponsesRequest, body)
    return asked, asked.as_chat()


class ResponseEnvelope(Envelope):
    """An answer's events; the whole response is what they end with."""

    prefix = "resp"

    def __init__(self, service: Service, asked: ResponsesRequest, ready: chat.Ready, exchange: Exchange) -> None:
        super().__init__(service, asked.model, ready.encoded.dropped_turns)
        self.exchange = exchange
        (self.answer,) = ready.answers
        self.takes_long = bool(ready.offer.tools)
        self.output = OutputItems()
        self.finish: Finish | None = None
        self._told = asked.model_dump(
            mode="json", by_alias=True, exclude={"model", "input", "stream", "chat_template_kwargs"}, exclude_none=True
        )

    def opening(self) -> list[Choice]:
        """See `Envelope`."""
        return [self.output.event(f"response.{kind}", response=self.response()) for kind in ("created", "in_progress")]

    def pieces(self, news: News) -> list[Choice]:
        """See `Envelope`."""
        deltas = [*self.answer.push(news.text), *(self.answer.finish() if news.finish else ())]
        found = list(self.output.push(deltas))
        if news.finish:
            self.finish = news.finish
            found += self.output.finish(self.status)
            found.append(self.output.event(f"response.{self.status}", response=self.response()))
        return found

    def merged(self, pieces: Sequence[Choice]) -> Choice:
        """The whole response."""
        response: Choice = pieces[-1]["response"]
        return response

    def whole(self, choices: Sequence[Choice], usage: dict[str, Any]) -> dict[str, Any]:
        """The finished response, which has its own counts."""
        (response,) = choices
        return response

    @property
    def status(self) -> str:
        """Where the answer is."""
        return {None: "in_progress", "stop": "completed", "length": "incomplete"}[self.finish]

    def response(self) -> Choice:
        """The response as it is now."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "model": self.model,
            "status": self.status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if self.finish == "length" else None,
            "instructions": None,
            "output": [dict(item) for item in self.output.items],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "store": False,
            "metadata": {},
            **self._told,
            "usage": self._counts() if self.finish else None,
            **({"tool_problems": [p.reason for p in self.answer.problems]} if self.answer.problems else {}),
        }

    def _counts(self) -> Choice:
        """Thoughts are tokens of the answer; they are not counted apart."""
        read, written = self.exchange.prompt_tokens, self.exchange.completion_tokens
        dropped = {"dropped_turns": self.dropped_turns} if self.dropped_turns else {}
        return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written} | dropped


class ResponseStream(EventStream):
    """Events with names; the last one has the whole response."""

    def _chunk(self, choice: Choice) -> bytes:
        return f"event: {choice['type']}\n".encode() + stream.event(choice)

    def _last(self) -> bytes:
        return b""
