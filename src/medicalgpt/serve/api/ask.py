"""A request's way to the model: its settings, its prompts as tokens, and the answers that are asked for."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import replace

from medicalgpt.data.records import Dialogue
from medicalgpt.errors import MedicalGPTError
from medicalgpt.generate.prompts import EncodedPrompt, Prompt
from medicalgpt.generate.sampling import Sampling
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.serve.api.errors import ApiError, refused
from medicalgpt.serve.api.exchange import Exchange
from medicalgpt.serve.api.schema import CompletionParams
from medicalgpt.serve.api.service import Service
from medicalgpt.serve.api.stream import Inbox
from medicalgpt.structured.constraint import Constraint

_SEEDS = 2**63


def check(asked: CompletionParams, service: Service, answers: int) -> None:
    """Refuse what this server cannot give, before any work.

    Raises:
        ApiError: another model, or more tokens or answers than are allowed.
    """
    if asked.model not in service.all_names:
        raise ApiError(
            404,
            f"the model '{asked.model[:100]}' is not served here; there is {', '.join(service.all_names)}",
            param="model",
            code="model_not_found",
        )
    most = service.limits.max_tokens
    if asked.max_tokens is not None and asked.max_tokens > most:
        raise ApiError(400, f"max_tokens is {asked.max_tokens}; this server allows at most {most}", param="max_tokens")
    if answers > service.most_each:
        raise ApiError(
            400, f"{answers} answers are asked for; this server gives at most {service.most_each}", param="n"
        )
    if asked.stream_options is not None and not asked.stream:
        raise ApiError(400, "stream_options needs stream: true", param="stream_options")


async def read(
    prompts: Sequence[Prompt],
    asked: CompletionParams,
    service: Service,
    prefill: str = "",
    template: ChatTemplate | None = None,
) -> list[EncodedPrompt]:
    """Prompts as tokens, made on another thread, so that the others' streams go on; the rest as in `Engine.prepare`.

    Raises:
        ApiError: 400, a prompt cannot be rendered or is too long.
    """
    return [await service.read(_ready, prompt, asked, service, prefill, template) for prompt in prompts]


def _ready(
    prompt: Prompt, asked: CompletionParams, service: Service, prefill: str, template: ChatTemplate | None
) -> EncodedPrompt:
    engine, limits = service.live.engine, service.limits
    if asked.logit_bias:
        _ = engine.token_ids  # found out once, and not on the event loop, where they are compared
    if isinstance(prompt, Dialogue):
        check_length(_kept(prompt), service)
    try:
        encoded = engine.prepare(prompt, Sampling(_room(asked, _least_room(service))), prefill, template)
    except MedicalGPTError as error:
        raise refused(error) from None
    if len(encoded.ids) > limits.max_prompt_tokens:
        raise ApiError(
            400,
            f"the prompt has {len(encoded.ids)} tokens; this server allows at most {limits.max_prompt_tokens}",
            code="context_length_exceeded",
        )
    return encoded


def check_length(characters: int, service: Service) -> None:
    """Tokenizing megabytes takes seconds and a hundred times their memory, so it is not begun.

    Raises:
        ApiError: 400, these are more characters than `max_prompt_tokens` tokens ever have.
    """
    if characters > service.most_characters:
        raise ApiError(
            400,
            f"the prompt has {characters} characters; this server takes at most {service.most_characters} and "
            f"{service.limits.max_prompt_tokens} tokens, and the model's context is {service.live.engine.context} tokens",
            code="context_length_exceeded",
        )


def _kept(prompt: Dialogue) -> int:
    """Characters of what is never left out of a conversation: tools, system message, and all from the last question on."""
    turns = prompt.messages
    last = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=0)
    kept = [turn for i, turn in enumerate(turns) if i >= last or turn.role == "system"]
    calls = [call for turn in kept for call in turn.tool_calls]
    return sum(len(turn.content) for turn in kept) + sum(len(json.dumps(part)) for part in (*prompt.tools, *calls))


def _least_room(service: Service) -> int:
    """Tokens that are kept for an answer whose length is not given: a quarter of the context, or the limit."""
    context = service.live.engine.context
    return service.limits.max_tokens if context is None else max(1, min(service.limits.max_tokens, context // 4))


def _room(asked: CompletionParams, otherwise: int) -> int:
    """Most tokens of an answer; as many as a `Sampling` must have, where none is asked for."""
    return otherwise if asked.max_tokens is None else max(1, asked.max_tokens)


def _most_room(service: Service, encoded: EncodedPrompt) -> int:
    """Most tokens of an answer whose length is not given: what the context leaves, within the limit."""
    most, context = service.limits.max_tokens, service.live.engine.context
    return most if context is None else min(most, context - len(encoded.ids))


def _sampling(asked: CompletionParams) -> Sampling:
    """The settings that a request names, by the names that `Sampling` has for them, too."""
    return Sampling(
        max_new_tokens=1,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        min_p=asked.min_p,
        repetition_penalty=asked.repetition_penalty,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
        logit_bias=tuple((int(token), float(bias)) for token, bias in asked.logit_bias.items()),
        seed=secrets.randbelow(_SEEDS) if asked.seed is None else asked.seed % _SEEDS,
        stop=tuple(asked.stop),
    )


def submit(
    all_ready: Sequence[EncodedPrompt],
    asked: CompletionParams,
    service: Service,
    exchange: Exchange,
    *,
    n: int,
    top: int | None,
    constraint: Constraint | None = None,
    echo: bool = False,
) -> Inbox:
    """Ask for `n` answers to each prompt, held to a constraint that is ready. Answer j to prompt i has the number i·n + j.

    `top` and `echo` are those of `BatchingEngine.submit`.

    Raises:
        ApiError: 429 or 503, no room; 400, a setting that this model does not take.
    """
    base = _sampling(asked)
    inbox = Inbox()
    exchange.expect(n * len(all_ready))
    empty = asked.max_tokens == 0
    for i, encoded in enumerate(all_ready):
        sampling = replace(base, max_new_tokens=_room(asked, _most_room(service, encoded)), constraint=constraint)
        sink = inbox.sink(i * n, n)
        try:
            adapter = asked.model if asked.model in service.adapters else ""
            request = service.live.submit(
                encoded, sampling, sink, n=n, top=top, echo=echo, empty=empty, adapter=adapter
            )
        except MedicalGPTError as error:
            raise refused(error, service.stopping) from None
        exchange.requests.append(request)
        exchange.prompt_tokens += len(encoded.ids)
    return inbox
