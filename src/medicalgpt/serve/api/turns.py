"""A request's conversation and tools, as records have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medicalgpt.data.formats.fields import BadRow
from medicalgpt.data.formats.tools import calls_from_turn, in_call_order
from medicalgpt.data.records import Message
from medicalgpt.errors import DataError, RenderError
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tool_formats import ToolFormat, check_tools
from medicalgpt.serve.api.errors import ApiError
from medicalgpt.serve.api.schema import ChatMessage, ChatRequest, NamedChoice

Tools = tuple[dict[str, Any], ...]


def conversation(turns: Sequence[ChatMessage], system: str | None) -> tuple[Message, ...]:
    """The turns, results in the order of their calls; `system` stands in where there is no system message.

    Raises:
        ApiError: a call's arguments are no JSON object, or a result answers no call.
    """
    messages = [_message(turn, place) for place, turn in enumerate(turns)]
    try:
        # Records have no ids, so that results must stand as the calls do; clients send them as they are ready.
        order = in_call_order([_ids(turn, place) for place, turn in enumerate(turns)])
    except BadRow as bad:
        raise ApiError(400, f"messages: {bad.reason}", param="messages") from None
    ordered = tuple(messages[turn["place"]] for turn in order)
    return (Message("system", system), *ordered) if system and ordered[0].role != "system" else ordered


@dataclass(frozen=True, slots=True)
class Offer:
    """What the model may call, how its template writes calls, and how the call begins that it has to make.

    `demanded` are the tools of which one must be called.
    """

    tools: Tools = ()
    format: ToolFormat | None = None
    prefill: str = ""
    demanded: Tools = ()


def offer_of(asked: ChatRequest, template: ChatTemplate) -> Offer:
    """The tools of a request, as its `tool_choice` has them.

    Raises:
        ApiError: `tool_choice` names what is not there; a tool's schema is none; or this model's calls cannot be read, so
            that they would come back as text that no client can run.
    """
    demanded = _demanded(asked)
    if asked.tool_choice == "none" or not asked.tools:
        return Offer()
    tools = tuple(tool.model_dump(exclude_none=True) for tool in asked.tools)
    try:
        check_tools(tools)
        found = template.tool_use.format
    except (DataError, RenderError) as error:
        raise ApiError(400, f"tools: {error}", param="tools") from None
    if found is None:
        raise ApiError(400, "tools: this server cannot read tool calls from this model's answers", param="tools")
    if demanded is None:
        return Offer(tools, found)
    wanted = tuple(tool for tool in tools if demanded in ("", tool["function"]["name"]))
    prefill = found.opening(wanted[0]["function"]["name"] if len(wanted) == 1 else None)
    return Offer(tools, found, prefill, wanted)


def _demanded(asked: ChatRequest) -> str | None:
    """The name of the function that must be called; empty for any, None where the model decides."""
    choice = asked.tool_choice
    if choice in ("auto", "none"):
        return None
    names = [tool.function.name for tool in asked.tools]
    if isinstance(choice, NamedChoice):
        if choice.function.name not in names:
            given = choice.function.name[:64]
            raise ApiError(400, f"tool_choice: '{given}' is none of the tools", param="tool_choice")
        return choice.function.name
    if not names:
        raise ApiError(400, 'tool_choice: "required" needs tools', param="tool_choice")
    return ""


def _message(turn: ChatMessage, place: int) -> Message:
    role = "system" if turn.role == "developer" else turn.role
    try:
        calls = calls_from_turn({"tool_calls": [call.model_dump() for call in turn.tool_calls]})
    except BadRow as bad:
        raise ApiError(400, f"'messages.{place}': {bad.reason}", param=f"messages.{place}.tool_calls") from None
    return Message(role, turn.content or "", calls)


def _ids(turn: ChatMessage, place: int) -> dict[str, Any]:
    calls = [{"id": call.id or None} for call in turn.tool_calls]
    return {"place": place, "tool_call_id": turn.tool_call_id, "tool_calls": calls or None}
