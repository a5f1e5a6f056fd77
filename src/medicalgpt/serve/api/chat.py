"""`POST /v1/chat/completions`."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import Request
from starlette.responses import Response

from medicalgpt.data.formats.fields import BadRow
from medicalgpt.data.formats.tools import calls_from_turn
from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.render.tool_formats import CallDelta, ContentDelta, Delta
from medicalgpt.serve.api import ask, logprobs, reply
from medicalgpt.serve.api.answer_parts import AnswerParser
from medicalgpt.serve.api.errors import ApiError
from medicalgpt.serve.api.exchange import Exchange
from medicalgpt.serve.api.job import News
from medicalgpt.serve.api.schema import ChatMessage, ChatRequest, parse
from medicalgpt.serve.api.service import Service
from medicalgpt.serve.api.shape import Choice, Shape


async def complete(request: Request, service: Service) -> Response:
    """Answer a conversation.

    Raises:
        ApiError: see there.
    """
    asked, exchange = parse(ChatRequest, await request.body()), Exchange.of(request.scope)
    ask.check(asked, service, asked.n)
    tools = _tools(asked)
    new_parser = service.parsers(service.live.engine.template, tools)
    messages = [_message(turn, i) for i, turn in enumerate(asked.messages)]
    if service.system and messages[0].role != "system":
        messages.insert(0, Message("system", service.system))
    prompt = Dialogue(tuple(messages), Source("request", 1), tools)
    (ready,) = await ask.read([prompt], asked, service)
    inbox = ask.submit([ready], asked, asked.top, service, exchange)
    shape = ChatShape(service, ready.dropped_turns, asked.n, new_parser, asked.logprobs)
    if asked.stream:
        options = asked.stream_options
        return reply.EventStream(shape, inbox, exchange, bool(options and options.include_usage))
    return await reply.whole(shape, inbox, exchange)


def _tools(asked: ChatRequest) -> tuple[dict[str, Any], ...]:
    """What the model may call."""
    if asked.tool_choice not in ("auto", "none"):
        raise ApiError(
            400, 'tool_choice must be "auto" or "none"; this model cannot be forced to call a tool', param="tool_choice"
        )
    if asked.tool_choice == "none":
        return ()
    return tuple(tool.model_dump(exclude_none=True) for tool in asked.tools)


def _message(turn: ChatMessage, place: int) -> Message:
    role = "system" if turn.role == "developer" else turn.role
    try:
        calls = calls_from_turn({"tool_calls": [call.model_dump() for call in turn.tool_calls]})
    except BadRow as bad:
        raise ApiError(400, f"'messages.{place}': {bad.reason}", param=f"messages.{place}.tool_calls") from None
    return Message(role, turn.content or "", calls)


class ChatShape(Shape):
    """Choices with a message, or with what it grows by."""

    kind, chunk_kind, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def __init__(
        self, service: Service, dropped_turns: int, n: int, new_parser: Callable[[], AnswerParser], scored: bool
    ) -> None:
        super().__init__(service, dropped_turns)
        self.parsers, self.scored = [new_parser() for _ in range(n)], scored
        self.called = [False] * n

    def opening(self) -> list[Choice]:
        """See `Shape`."""
        return [self._piece(i, {"role": "assistant", "content": ""}) for i in range(len(self.parsers))]

    def pieces(self, news: News) -> list[Choice]:
        """See `Shape`."""
        parser = self.parsers[news.choice]
        deltas = [*parser.push(news.text), *(parser.finish() if news.finish else ())]
        self.called[news.choice] |= any(isinstance(delta, CallDelta) for delta in deltas)
        found = [self._piece(news.choice, delta) for delta in map(_delta, deltas)]
        if news.scored:
            # They go with the text that came with them; before a whole character is there, with an empty one.
            found = found or [self._piece(news.choice, {"content": ""})]
            found[0]["logprobs"] = {"content": logprobs.for_chat(self.service.texts, news.scored), "refusal": None}
        if news.finish:
            called = self.called[news.choice] and news.finish == "stop"
            found.append(self._piece(news.choice, {}) | {"finish_reason": "tool_calls" if called else news.finish})
        return found

    def merged(self, pieces: Sequence[Choice]) -> Choice:
        """See `Shape`."""
        content = "".join(piece["delta"].get("content") or "" for piece in pieces)
        calls = [call for piece in pieces for call in piece["delta"].get("tool_calls", ())]
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if calls:
            made = [{key: value for key, value in call.items() if key != "index"} for call in calls]
            message |= {"content": content or None, "tool_calls": made}
        entries = [entry for piece in pieces if piece["logprobs"] for entry in piece["logprobs"]["content"]]
        return {
            "index": pieces[0]["index"],
            "message": message,
            "logprobs": {"content": entries, "refusal": None} if self.scored else None,
            "finish_reason": pieces[-1]["finish_reason"],
        }

    @staticmethod
    def _piece(index: int, delta: dict[str, Any]) -> Choice:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}


def _delta(delta: Delta) -> dict[str, Any]:
    if isinstance(delta, ContentDelta):
        return {"content": delta.text}
    function = {"name": delta.name, "arguments": delta.arguments}
    return {"tool_calls": [{"index": delta.index, "id": delta.id, "type": "function", "function": function}]}
