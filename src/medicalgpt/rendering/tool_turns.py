"""Tools in a conversation: left to templates that write them, and for all others put into ordinary turns first.

What a template writes is found by rendering a small conversation with it, never guessed from its name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from medicalgpt.data.records import Message, Tools
from medicalgpt.errors import RenderError
from medicalgpt.rendering.thinking import CLOSE
from medicalgpt.rendering.tool_formats import FORMATS, Parsed, ToolFormat, named_in, suited

Turn = dict[str, Any]
Render = Callable[[list[Turn], Sequence[dict[str, Any]], bool], str]
"""Renders turns as they are, with tools and maybe a generation prompt; may raise."""

_NAME, _VALUE, _RESULT = "probe_weight", "17.25 kg", "probe result 4711"
_TOOL = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": "A probe.",
        "parameters": {"type": "object", "properties": {"value": {"type": "string"}}, "required": ["value"]},
    },
}
_CALL = {"name": _NAME, "arguments": {"value": _VALUE}}
_ASKED = (Message("user", "Question"), Message("assistant", "", (_CALL,)))
_TALK = (*_ASKED, Message("tool", _RESULT), Message("assistant", "Answer"))


@dataclass(frozen=True, slots=True)
class ToolUse:
    """How tools come into a template's text.

    `format` writes and reads calls; it is None where the template writes them itself in a form that is none of ours, so
    that they can be trained but not read back. `native`: the template writes tools, calls and results itself.
    Otherwise `system_turn` says whether it takes a system turn, and `result_role` in whose turn a result stands.
    """

    format: ToolFormat | None
    native: bool
    system_turn: bool = True
    result_role: str = "user"


def find_tool_use(render: Render, source: str, name: str) -> ToolUse:
    """Ask a template what it does with tools.

    Raises:
        RenderError: its text names a format that does not read the calls it writes itself.
    """
    named = named_in(source)
    written = _written_call(render)
    if written is not None:
        readers = [f for f in ([named] if named else FORMATS.values()) if _reads(f, written)]
        if named and not readers:
            raise RenderError(
                f"chat template '{name}' writes tool calls itself, and not in the format {named.name}; leave the tool "
                "format out, or choose another chat template"
            )
        return ToolUse(readers[0] if readers else None, native=True)
    chosen = named or suited(source)
    own_role = chosen.result_role != "user" and _writes_role(render, chosen.result_role)
    return ToolUse(chosen, False, _takes_system(render), chosen.result_role if own_role else "user")


def _written_call(render: Render) -> str | None:
    """The text of an assistant's call, from a template that writes tools, calls and results; else None."""
    whole = _tried(render, with_ids(_TALK), [_TOOL])
    call = _tried(render, with_ids(_ASKED), [_TOOL])
    prompts = [_tried(render, with_ids(_ASKED[:1]), [_TOOL], opened) for opened in (True, False)]
    if not all(text in whole for text in (_NAME, _VALUE, _RESULT)) or not all(_NAME in text for text in prompts):
        return None
    # A prompt that opens a thinking block is no beginning of a call; then the header stays in front of it.
    before = next((text for text in prompts if call.startswith(text)), "")
    return call[len(before) :].rpartition(CLOSE)[2]


def _reads(tool_format: ToolFormat, written: str) -> bool:
    """Whether a format reads the probe's call. Where it has no marker, the call must begin the text: else it is a part of
    something that the format does not know."""
    at = tool_format.find(written, True, True).start
    begins = not written[:at].strip() or any(written.startswith(marker, at) for marker in tool_format.markers)
    return begins and tool_format.parse(written).calls == (_CALL,)


def _tried(render: Render, turns: list[Turn], tools: Tools = (), generation_prompt: bool = False) -> str:
    try:
        return render(turns, tools, generation_prompt)
    except RenderError:  # it does not end: asking on would take as long again
        raise
    except Exception:  # templates refuse in many ways what they have no place for
        return ""


def _takes_system(render: Render) -> bool:
    return "Probe." in _tried(render, with_ids((Message("system", "Probe."), *_ASKED[:1])))


def _writes_role(render: Render, role: str) -> bool:
    turns = [{"role": r, "content": c} for r, c in (("user", "Q"), ("assistant", "A"), (role, "R"))]
    return role in _tried(render, turns)


def with_ids(messages: Sequence[Message]) -> list[Turn]:
    """Turns as templates that write tools expect them: calls numbered, results with the number and name of their call.

    The numbers have nine characters, as Mistral's templates demand.
    """
    turns: list[Turn] = []
    waiting: list[tuple[str, str]] = []
    count = 0
    for message in messages:
        turn = message.as_dict()
        if message.tool_calls:
            for call in turn["tool_calls"]:
                count += 1
                call["id"] = f"call{count:05d}"
            waiting = [(call["id"], call["function"]["name"]) for call in turn["tool_calls"]]
        elif message.role == "tool" and waiting:
            turn["tool_call_id"], turn["name"] = waiting.pop(0)
        turns.append(turn)
    return turns


def as_turns(use: ToolUse, messages: Sequence[Message], tools: Tools) -> tuple[list[Turn], Sequence[dict[str, Any]]]:
    """The turns and tools to render a conversation with tools, calls or results from.

    A template that writes tools itself gets them as they are; for others they stand in ordinary turns, and no tools are left.
    """
    if use.native or use.format is None:
        return with_ids(messages), tools
    turns = [_ordinary(message, use) for message in messages]
    turns = _joined_results(messages, turns, use)
    return (_with_tools(turns, use.format.system(tools), use) if tools else turns), ()


def _ordinary(message: Message, use: ToolUse) -> Turn:
    assert use.format is not None
    if message.role == "assistant":
        return {"role": "assistant", "content": use.format.assistant(message)}
    if message.role == "tool":
        text = use.format.render_result(message)
        if use.result_role == "user" != use.format.result_role:  # the user did not say this
            text = f"{use.format.result_role}\n{text}"
        return {"role": use.result_role, "content": text}
    return message.as_dict()


def _joined_results(messages: Sequence[Message], turns: list[Turn], use: ToolUse) -> list[Turn]:
    """Several results in the user's name stand in one turn: many templates want turns to alternate."""
    joined: list[Turn] = []
    for number, turn in enumerate(turns):
        again = number > 0 and messages[number].role == messages[number - 1].role == "tool"
        if again and use.result_role == "user":
            joined[-1]["content"] += "\n" + turn["content"]
        else:
            joined.append(turn)
    return joined


def _with_tools(turns: list[Turn], text: str, use: ToolUse) -> list[Turn]:
    """The tools' descriptions below the system message; a template without one has them above the first turn."""
    first = turns[0]
    if first["role"] == "system":
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *turns[1:]]
    if use.system_turn:
        return [{"role": "system", "content": text}, *turns]
    return [{**first, "content": f"{text}\n\n{first['content']}"}, *turns[1:]]


def read_back(use: ToolUse, body: str) -> Parsed | None:
    """An answer's text as calls, or None where the template writes them in a form that is none of ours."""
    return use.format.parse(body) if use.format else None
