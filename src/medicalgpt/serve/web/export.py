"""A conversation as a file: Markdown for people, JSON for programs."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from medicalgpt.serve.web.conversation import Conversation
from medicalgpt.serve.web.info import ModelInfo
from medicalgpt.serve.web.view import signature
from medicalgpt.serve.web.words import Texts


def markdown(conversation: Conversation, texts: Texts) -> str:
    """Questions and the answers shown, each with its model, under the disclaimer."""
    question, answer = texts.copied_as
    parts = ["# MedicalGPT", _now(), f"> {texts.disclaimer}"]
    system = _system(conversation)
    if system:
        parts += [f"## {texts.system}", system]
    for exchange in conversation.exchanges:
        parts += [f"## {question}", exchange.question]
        if exchange.answer is not None:
            parts += [f"## {answer}", exchange.answer.text, *filter(None, [signature(exchange.answer)])]
    return "\n\n".join(parts) + "\n"


def as_json(conversation: Conversation, models: Mapping[str, ModelInfo], texts: Texts) -> str:
    """The same with the settings of every answer; `messages` is a dialogue that `train sft` reads."""
    messages: list[dict[str, object]] = []
    answers: list[dict[str, object]] = []
    if system := _system(conversation):
        messages.append({"role": "system", "content": system})
    for exchange in conversation.exchanges:
        messages.append({"role": "user", "content": exchange.question})
        if (answer := exchange.answer) is not None:
            messages.append({"role": "assistant", "content": answer.text})
            given = {"model": answer.model, "version": answer.version}
            facts = given | {"complete": answer.complete, "rating": answer.rating, "tokens": answer.tokens}
            answers.append(facts | {"settings": answer.settings})
    whole = {
        "models": {name: info.as_dict() for name, info in models.items()},
        "exported": _now(),
        "disclaimer": texts.disclaimer,
        "messages": messages,
        "answers": answers,
    }
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def file_name(ending: str) -> str:
    """A name for the file that says when, and nothing of the content."""
    return f"medicalgpt-{datetime.now(UTC):%Y%m%d-%H%M%S}.{ending}"


def _system(conversation: Conversation) -> str:
    """The system message of the newest answer."""
    last = conversation.last
    prompt = last.answer.prompt if last is not None and last.answer is not None else ()
    return prompt[0].content if prompt and prompt[0].role == "system" else ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="minutes")
