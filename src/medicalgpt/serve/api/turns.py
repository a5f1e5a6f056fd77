"""A request's conversation and tools, as records have them."""

from collections.abc import Sequence
from typing import Any

from medicalgpt.data.formats.fields import BadRow
from medicalgpt.data.formats.tools import calls_from_turn, in_call_order
from medicalgpt.data.records import Message
from medicalgpt.errors import DataError, RenderError
from medicalgpt.render.template import ChatTemplate
from medicalgpt.render.tool_formats import ToolFormat, check_tools
from medicalgpt.serve.api.errors import ApiError
from medicalgpt.serve.api.schema import ChatMessage, ChatRequest

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


def tools_of(asked: ChatRequest, template: ChatTemplate) -> tuple[Tools, ToolFormat | None]:
    """What the model may call, and how its template writes calls; no format without tools.

    Raises:
        ApiError: a call is demanded, which nothing here enforces; a tool's schema is none; or this model's calls cannot be
            read, so that they would come back as text that no client can run.
    """
    if asked.tool_choice not in ("auto", "none"):
        raise ApiError(
            400, 'tool_choice must be "auto" or "none"; this model cannot be forced to call a tool', param="tool_choice"
        )
    if asked.tool_choice == "none" or not asked.tools:
        return (), None
    tools = tuple(tool.model_dump(exclude_none=True) for tool in asked.tools)
    try:
        check_tools(tools)
        found = template.tool_use.format
    except (DataError, RenderError) as error:
        raise ApiError(400, f"tools: {error}", param="tools") from None
    if found is None:
        raise ApiError(400, "tools: this server cannot read tool calls from this model's answers", param="tools")
    return tools, found


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
