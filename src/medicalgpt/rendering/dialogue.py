"""Where an answer begins and ends in the text of its conversation, and the proof that it is trained as it will be asked for.

The boundary before an answer is where the generation prompt ends; the boundary after it is where its stop token ends.
Both are found by rendering, never guessed from markers.
"""

import json
from collections.abc import Sequence
from typing import Any

from medicalgpt.data.records import Message, Tools
from medicalgpt.errors import RenderError
from medicalgpt.rendering.template_text import TemplateText
from medicalgpt.rendering.thinking import CLOSE, OPEN
from medicalgpt.rendering.tool_turns import read_back


def stop_token(template: TemplateText) -> str:
    """The special token that ends an assistant turn, found by rendering a probe.

    Raises:
        RenderError: the template has no generation prompt, or ends a turn without a special token.
    """
    messages = (Message("user", "Question"), Message("assistant", "Answer"))
    full, start, end = answer_span(template, messages, 1)
    stops = template.encoder.special_pattern.findall(full[start:end])
    return str(stops[-1])


def answer_span(
    template: TemplateText, messages: Sequence[Message], turn: int, tools: Tools = ()
) -> tuple[str, int, int]:
    """Text of the conversation up to assistant turn `turn`, with the start of its answer and the end of its stop token.

    Raises:
        RenderError: the training text does not begin with the generation prompt, or the turn has no stop token.
    """
    prompt = template.text(messages[:turn], tools, generation_prompt=True)
    full = template.text(messages[: turn + 1], tools)
    _check_names(template, prompt, [tool["function"]["name"] for tool in tools], "the tools")
    if not full.startswith(prompt):
        raise RenderError(
            f"chat template '{template.name}': its generation prompt is not what stands before a finished answer, so the "
            "model would be trained on one prompt and asked with another; choose another data.template"
        )
    body = full[len(prompt) :]
    tail = closing(template)
    stops = list(template.encoder.special_pattern.finditer(body.removesuffix(tail)))
    if not stops:
        raise RenderError(
            f"chat template '{template.name}' ends an assistant turn without a special token, so no stop token could be "
            "trained; use a template that writes eos_token after the answer (alpaca, vicuna and plain do)"
        )
    _check_body(template, body[: stops[-1].start()], messages[turn])
    return full, len(prompt), len(prompt) + stops[-1].end()


def closing(template: TemplateText) -> str:
    """What a template writes behind the end of the last turn when the conversation is over, with a special token in it: of
    Phi-3 an eos token behind its `<|end|>`. A turn that is followed by another has nothing of it, nor has a prompt, so it
    is no part of an answer. Empty for most templates, and for those whose turns have no end of their own.
    """
    if template.closing is None:
        template.closing = _closing(template)
    return template.closing


def _closing(template: TemplateText) -> str:
    turns = (Message("user", "Question"), Message("assistant", "Answer"))
    over = template.text(turns)
    try:
        goes_on = template.text((*turns, Message("user", "Question")))
    except RenderError:  # a template for one exchange
        return ""
    _, answer, rest = over.rpartition("Answer")
    shared = next((i for i, (a, b) in enumerate(zip(over, goes_on)) if a != b), min(len(over), len(goes_on)))
    ends = [m.end() + len(over) - len(rest) for m in template.encoder.special_pattern.finditer(rest)]
    own = [end for end in ends if end <= shared]
    return over[own[-1] :] if answer and own and own[-1] < ends[-1] else ""


def _check_body(template: TemplateText, body: str, message: Message) -> None:
    """Raise RenderError unless the answer's text stands alone between generation prompt and stop token."""
    if message.tool_calls:
        _check_calls(template, body, message)
        return
    thoughts, answer = _thoughts_and_answer(body)
    own_thoughts, content = _thoughts_and_answer(message.content)
    _check_thoughts(template, thoughts == own_thoughts)
    if not answer.endswith(content):
        raise RenderError(f"chat template '{template.name}' changes the assistant's text while rendering it")
    lead = answer[: len(answer) - len(content)]
    if lead.strip():
        raise RenderError(
            f"chat template '{template.name}' has no generation prompt: {lead!r} stands before the answer when training "
            "but not when answering; choose another data.template or add add_generation_prompt to it"
        )


def _check_thoughts(template: TemplateText, kept: bool) -> None:
    if not kept:
        raise RenderError(
            f"chat template '{template.name}' leaves out or changes the thoughts of an answer; choose a data.template that "
            "writes them (qwen3 and qwen3.5 do), or take them out of the data"
        )


def _thoughts_and_answer(text: str) -> tuple[str, str]:
    """What stands in the thinking block that opens an answer (none and an empty one are the same), and the rest.

    The block may have been opened by the generation prompt, so only its end is looked for.
    """
    before, _, after = text.rpartition(CLOSE)
    return before.strip().removeprefix(OPEN).strip(), after.strip()


def _check_calls(template: TemplateText, body: str, message: Message) -> None:
    """Raise RenderError unless the calls can be read back from the body: all of it is trained, so it must be a call."""
    _check_names(template, body, [call["name"] for call in message.tool_calls], "the assistant's tool calls")
    own_thoughts, content = _thoughts_and_answer(message.content)
    if own_thoughts:
        before, closed, _ = body.partition(CLOSE)  # the first one: an argument may hold such a tag, too
        _check_thoughts(template, bool(closed) and before.strip().removeprefix(OPEN).strip() == own_thoughts)
    if content not in body:
        raise RenderError(
            f"chat template '{template.name}' leaves out what the assistant says beside its tool calls; choose a "
            "data.template that writes it, or take it out of the data"
        )
    parsed = read_back(template.tool_use, body)
    if parsed is not None and parsed.calls != message.tool_calls:
        raise RenderError(
            f"the assistant's tool calls cannot be read back as they were from the text that chat template "
            f"'{template.name}' makes of them; look for a call within the assistant's text, or a tool name with spaces"
        )


def _check_names(template: TemplateText, text: str, names: Sequence[str], what: str) -> None:
    """Raise RenderError where a template left tool names out: many have no place for tools and skip them."""
    if any(name not in text for name in names):
        raise RenderError(
            f"chat template '{template.name}' leaves out {what} of this conversation; choose a data.template that "
            "writes them, or take them out of the data"
        )


def check_content(template: TemplateText, messages: Sequence[Message], tools: Tools = ()) -> None:
    """Refuse text that spells a special token: it would be read as control, not as text.

    Raises:
        RenderError: naming the token.
    """
    search = template.encoder.special_pattern.search
    texts: list[tuple[str, str]] = [(m.role, m.content) for m in messages]
    texts += [("call", _json(call)) for m in messages for call in m.tool_calls]
    texts += [("tools", _json(tool)) for tool in tools]
    for kind, text in texts:
        if found := search(text):
            place = {"call": "a tool call", "tools": "a tool's description"}.get(kind) or f"a {kind} turn"
            raise RenderError(f"{place} contains the special token {found.group()!r}; remove it from the text")


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
