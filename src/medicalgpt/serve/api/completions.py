"""`POST /v1/completions`: text goes on where a prompt ends, without a chat template."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request
from starlette.responses import Response

from medicalgpt.serve.api import ask, stream
from medicalgpt.serve.api.errors import ApiError
from medicalgpt.serve.api.exchange import Exchange
from medicalgpt.serve.api.logprobs import TextLogprobs
from medicalgpt.serve.api.schema import CompletionRequest, parse
from medicalgpt.serve.api.service import Service
from medicalgpt.serve.api.stream import Choice, Envelope, News


async def complete(request: Request, service: Service) -> Response:
    """Continue one or more prompts.

    Raises:
        ApiError: see there.
    """
    exchange = Exchange.of(request.scope)
    asked = await service.check(parse, CompletionRequest, await request.body())
    answers = asked.n * len(asked.prompt)
    ask.check(asked, service, answers)
    prompts = [await service.read(_ids, prompt, i, service) for i, prompt in enumerate(asked.prompt)]
    all_ready = await ask.read(prompts, asked, service)
    inbox = ask.submit(all_ready, asked, asked.top, service, exchange)
    envelope = TextEnvelope(service, answers, asked.top is not None)
    if asked.stream:
        options = asked.stream_options
        return stream.EventStream(envelope, inbox, exchange, bool(options and options.include_usage))
    return await stream.whole(envelope, inbox, exchange)


def _ids(prompt: str | list[int], place: int, service: Service) -> list[int]:
    """Token ids of a prompt; an empty text is the beginning of a document."""
    engine = service.live.engine
    if isinstance(prompt, str):
        ask.check_length(len(prompt), service)
        ids = list(engine.tokenizer(prompt)["input_ids"]) if prompt else []
        return ids or [engine.template.document_start]
    known = engine.token_ids
    odd = next((token for token in prompt if token not in known), None)
    if odd is not None:
        problem = (
            f"a token id outside 0 to {max(known)}"
            if not 0 <= odd <= max(known)
            else f"the id {odd}, which is no token"
        )
        raise ApiError(400, f"'prompt.{place}' has {problem}", param="prompt")
    return prompt


class TextEnvelope(Envelope):
    """Choices with text; whole ones and pieces look alike."""

    kind = chunk_kind = "text_completion"
    prefix = "cmpl"

    def __init__(self, service: Service, answers: int, scored: bool) -> None:
        super().__init__(service)
        self.logprobs = [TextLogprobs(service.texts) if scored else None for _ in range(answers)]

    def opening(self) -> list[Choice]:
        """See `Envelope`."""
        return []

    def pieces(self, news: News) -> list[Choice]:
        """See `Envelope`."""
        writer = self.logprobs[news.choice]
        scores = writer.push(news.scored) if writer else None
        if not (news.text or news.scored or news.finish):
            return []
        return [{"index": news.choice, "text": news.text, "logprobs": scores, "finish_reason": news.finish}]

    def merged(self, pieces: Sequence[Choice]) -> Choice:
        """See `Envelope`."""
        scores: dict[str, list[Any]] | None = None
        if pieces[0]["logprobs"] is not None:
            scores = {key: [x for piece in pieces for x in piece["logprobs"][key]] for key in pieces[0]["logprobs"]}
        last = pieces[-1]
        text = "".join(piece["text"] for piece in pieces)
        return {"index": last["index"], "text": text, "logprobs": scores, "finish_reason": last["finish_reason"]}
