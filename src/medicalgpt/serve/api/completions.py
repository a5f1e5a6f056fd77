"""`POST /v1/completions`: text goes on where a prompt ends, without a chat template."""

from collections.abc import Sequence
from typing import Final

from fastapi import Request
from starlette.responses import Response

from medicalgpt.serve.api import ask, stream
from medicalgpt.serve.api.echo import Echoed, echoed
from medicalgpt.serve.api.errors import ApiError
from medicalgpt.serve.api.exchange import Exchange
from medicalgpt.serve.api.logprobs import Lists, TextLogprobs, joined
from medicalgpt.serve.api.schema import CompletionRequest, parse
from medicalgpt.serve.api.service import Service
from medicalgpt.serve.api.stream import Choice, Envelope, News

_MOST_ENTRIES: Final = 65_536
"""Log-probabilities of prompts in one answer: some 5 MB of JSON."""


async def complete(request: Request, service: Service) -> Response:
    """Continue one or more prompts.

    Raises:
        ApiError: see there.
    """
    exchange = Exchange.of(request.scope)
    asked = await service.check(parse, CompletionRequest, await request.body())
    answers = asked.each * len(asked.prompt)
    ask.check(asked, service, answers)
    if asked.each > asked.n and not service.live.gives_scores:
        raise ApiError(
            400,
            "best_of needs log-probabilities, which this model's backend does not give; leave it out",
            param="best_of",
        )
    prompts = [await service.read(_ids, prompt, i, service) for i, prompt in enumerate(asked.prompt)]
    all_ready = await ask.read(prompts, asked, service)
    echoes = await service.read(_echoes, asked, prompts, service) if asked.echo else []
    top = asked.top if asked.each == asked.n else asked.top or 0
    scored_echo = asked.echo and asked.top is not None
    inbox = ask.submit(all_ready, asked, service, exchange, n=asked.each, top=top, echo=scored_echo)
    envelope = TextEnvelope(service, asked, echoes)
    if asked.stream:
        options = asked.stream_options
        return stream.EventStream(envelope, inbox, exchange, bool(options and options.include_usage))
    return await stream.whole(envelope, inbox, exchange)


def _echoes(asked: CompletionRequest, prompts: Sequence[list[int]], service: Service) -> list[Echoed]:
    """The prompts as they are given back.

    Raises:
        ApiError: 400, more log-probabilities of them than one answer may have.
    """
    if asked.top is not None:
        entries = asked.each * sum(map(len, prompts)) * (1 + asked.top)
        if entries > _MOST_ENTRIES:
            raise ApiError(
                400,
                f"echo with logprobs: {entries} log-probabilities are asked for, of at most {_MOST_ENTRIES} (tokens of the "
                "prompts × answers × (1 + logprobs)); send fewer prompts at a time, or a smaller logprobs",
                param="logprobs",
            )
    given = [prompt if isinstance(prompt, str) and prompt else None for prompt in asked.prompt]
    return [echoed(service.texts, ids, text) for ids, text in zip(prompts, given)]


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
    """Choices with text; whole ones and pieces look alike.

    Args:
        echoes: the prompts as they stand before their answers; none where they do not.
    """

    kind = chunk_kind = "text_completion"
    prefix = "cmpl"

    def __init__(self, service: Service, asked: CompletionRequest, echoes: Sequence[Echoed]) -> None:
        super().__init__(service, asked.model)
        self.asked = asked
        answers = asked.each * len(asked.prompt)
        self.logprobs = [TextLogprobs(service.texts) if asked.top is not None else None for _ in range(answers)]
        self.echoes = [echoes[i // asked.each] for i in range(answers)] if echoes else []
        self.takes_long = bool(echoes)
        self._sums = [(0.0, 0)] * answers

    def opening(self) -> list[Choice]:
        """See `Envelope`; a prompt whose log-probabilities are told comes with them."""
        if self.asked.top is not None:
            return []
        return [self._piece(i, echo.text) for i, echo in enumerate(self.echoes)]

    def pieces(self, news: News) -> list[Choice]:
        """See `Envelope`."""
        scored = [*news.scored, *([news.end] if news.end else ())]
        if self.asked.each > self.asked.n:
            total, count = self._sums[news.choice]
            self._sums[news.choice] = total + sum(score.logp for _, score in scored), count + len(scored)
        writer = self.logprobs[news.choice]
        scores: Lists | None = None
        text = news.text
        if writer is not None:
            parts: list[Lists] = []
            if news.prompt is not None:
                echo = self.echoes[news.choice]
                if len(news.prompt) < len(echo.ids) - 1:
                    message = (
                        "this model's output layer gives no log-probabilities of a prompt; leave out echo or logprobs"
                    )
                    raise ApiError(400, message, param="echo")
                text = echo.text + text
                parts.append(writer.prompt(echo, news.prompt))
            parts.append(writer.push(scored))
            scores = joined(parts)
        if not (text or news.scored or news.finish):
            return []
        return [self._piece(news.choice, text) | {"logprobs": scores, "finish_reason": news.finish}]

    def merged(self, pieces: Sequence[Choice]) -> Choice:
        """See `Envelope`."""
        told = [piece["logprobs"] for piece in pieces if piece["logprobs"] is not None]
        last = pieces[-1]
        text = "".join(piece["text"] for piece in pieces)
        scores = joined(told) if told else None
        return {"index": last["index"], "text": text, "logprobs": scores, "finish_reason": last["finish_reason"]}

    def chosen(self, choices: list[Choice]) -> list[Choice]:
        """Of `best_of` answers to each prompt the `n` whose tokens are the likeliest on average, the best first."""
        each, n = self.asked.each, self.asked.n
        if each == n:
            return choices
        found: list[Choice] = []
        for first in range(0, len(choices), each):
            ranked = sorted(range(first, first + each), key=lambda i: (-self._mean(i), i))
            found += [choices[i] for i in ranked[:n]]
        return [choice | {"index": i} for i, choice in enumerate(found)]

    def _mean(self, choice: int) -> float:
        total, count = self._sums[choice]
        return total / count if count else 0.0

    @staticmethod
    def _piece(index: int, text: str) -> Choice:
        return {"index": index, "text": text, "logprobs": None, "finish_reason": None}
