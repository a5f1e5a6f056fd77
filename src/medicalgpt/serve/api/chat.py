"""`POST /v1/chat/completions`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.responses import Response

from medicalgpt.data.records import Dialogue, Source
from medicalgpt.generate.answer import AnswerDelta, AnswerStream, ReasoningDelta
from medicalgpt.generate.prompts import EncodedPrompt
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tool_formats import CallDelta, ContentDelta
from medicalgpt.serve.api import ask, logprobs, stream
from medicalgpt.serve.api.exchange import Exchange
from medicalgpt.serve.api.formats import constraint_of
from medicalgpt.serve.api.schema import ChatRequest, parse
from medicalgpt.serve.api.service import Service
from medicalgpt.serve.api.stream import Choice, Envelope, News
from medicalgpt.serve.api.turns import Offer, conversation, offer_of
from medicalgpt.structured.constraint import Constraint


async def complete(request: Request, service: Service) -> Response:
    """Answer a conversation.

    Raises:
        ApiError: see there.
    """
    exchange = Exchange.of(request.scope)
    asked = await service.check(parse, ChatRequest, await request.body())
    ready = await prepare(asked, service)
    inbox = ask.submit([ready.encoded], asked, service, exchange, n=asked.n, top=asked.top, constraint=ready.constraint)
    envelope = ChatEnvelope(service, asked, ready)
    if asked.stream:
        options = asked.stream_options
        return stream.EventStream(envelope, inbox, exchange, bool(options and options.include_usage))
    return await stream.whole(envelope, inbox, exchange)


@dataclass(frozen=True, slots=True)
class Ready:
    """A conversation that can be answered: its tokens, what may be called, what reads its answers and what these are held to."""

    encoded: EncodedPrompt
    offer: Offer
    answers: list[AnswerStream]
    constraint: Constraint | None


async def prepare(asked: ChatRequest, service: Service) -> Ready:
    """Check what is asked and make it ready.

    Raises:
        ApiError: 400 or 404, this server cannot do it.
    """
    template, offer, prompt = await service.check(_understood, asked, service)
    # Not on the checkers' threads: a schema may take seconds until it is refused, and others' requests must be read.
    constraint = await asyncio.to_thread(constraint_of, asked, offer, service.live.engine)
    (encoded,) = await ask.read([prompt], asked, service, offer.prefill, template)
    answers = await service.check(_readers, offer, encoded, asked.n)
    return Ready(encoded, offer, answers, constraint)


def _understood(asked: ChatRequest, service: Service) -> tuple[ChatTemplate, Offer, Dialogue]:
    """What is asked, checked in full; hostile schemas take up to a second."""
    ask.check(asked, service, asked.n)
    template = service.templates.asked_by(asked)
    offer = offer_of(asked, template)
    return template, offer, Dialogue(conversation(asked.messages, service.system), Source("request", 1), offer.tools)


def _readers(offer: Offer, encoded: EncodedPrompt, answers: int) -> list[AnswerStream]:
    found = [AnswerStream(offer.format, offer.tools, encoded.thinking) for _ in range(answers)]
    for answer in found:
        answer.push(encoded.prefill)  # half a call gives nothing yet
    return found


class ChatEnvelope(Envelope):
    """Choices with a message, or with what it grows by."""

    kind, chunk_kind, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def __init__(self, service: Service, asked: ChatRequest, ready: Ready) -> None:
        super().__init__(service, asked.model, ready.encoded.dropped_turns)
        self.answers, self.scored = ready.answers, asked.logprobs
        self.takes_long = bool(ready.offer.tools)

    def opening(self) -> list[Choice]:
        """See `Envelope`."""
        return [self._piece(i, {"role": "assistant", "content": ""}) for i in range(len(self.answers))]

    def pieces(self, news: News) -> list[Choice]:
        """See `Envelope`."""
        answer = self.answers[news.choice]
        deltas = [*answer.push(news.text), *(answer.finish() if news.finish else ())]
        found = [self._piece(news.choice, delta) for delta in map(_delta, deltas)]
        if news.scored:
            # They go with the text that came with them; before a whole character is there, with an empty one.
            found = found or [self._piece(news.choice, {"content": ""})]
            found[0]["logprobs"] = {"content": logprobs.for_chat(self.service.texts, news.scored), "refusal": None}
        if news.finish:
            called = answer.calls and news.finish == "stop"
            end = self._piece(news.choice, {}) | {"finish_reason": "tool_calls" if called else news.finish}
            found.append(end | _problems(answer))
        return found

    def merged(self, pieces: Sequence[Choice]) -> Choice:
        """See `Envelope`."""
        content = "".join(piece["delta"].get("content") or "" for piece in pieces)
        calls = [call for piece in pieces for call in piece["delta"].get("tool_calls", ())]
        thoughts = "".join(piece["delta"].get("reasoning_content", "") for piece in pieces)
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        message |= {"reasoning_content": thoughts} if thoughts else {}
        if calls:
            made = [{key: value for key, value in call.items() if key != "index"} for call in calls]
            message |= {"content": content or None, "tool_calls": made}
        entries = [entry for piece in pieces if piece["logprobs"] for entry in piece["logprobs"]["content"]]
        return {
            "index": pieces[0]["index"],
            "message": message,
            "logprobs": {"content": entries, "refusal": None} if self.scored else None,
            "finish_reason": pieces[-1]["finish_reason"],
            **_problems(self.answers[pieces[0]["index"]]),
        }

    @staticmethod
    def _piece(index: int, delta: dict[str, Any]) -> Choice:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}


def _delta(delta: AnswerDelta) -> dict[str, Any]:
    if isinstance(delta, CallDelta):
        function = {"name": delta.name, "arguments": delta.arguments}
        return {"tool_calls": [{"index": delta.index, "id": delta.id, "type": "function", "function": function}]}
    name = {ReasoningDelta: "reasoning_content", ContentDelta: "content"}[type(delta)]
    return {name: delta.text}


def _problems(answer: AnswerStream) -> dict[str, Any]:
    """Beyond OpenAI's fields: why calls that stand in the text were not taken as such."""
    return {"tool_problems": [problem.reason for problem in answer.problems]} if answer.problems else {}
