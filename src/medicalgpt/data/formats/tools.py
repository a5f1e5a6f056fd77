"""Tools and tool calls in OpenAI's spelling, from any of the spellings that data sets use."""

import json
from collections.abc import Mapping
from typing import Any

from medicalgpt.data.formats.fields import BadRow, decoded, type_name


def parse_tools(value: object) -> tuple[dict[str, Any], ...]:
    """Tools from a list or its JSON text: each `{"type": "function", "function": {"name": …, …}}`; blank is none.

    Raises:
        BadRow: not JSON, or an entry without a name.
    """
    value = decoded(value, "tools")
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadRow(f"tools is {type_name(value)}, not a list")
    tools = []
    for tool in value:
        function = tool.get("function", tool) if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise BadRow("tools has an entry without a name")
        tools.append({"type": "function", "function": dict(function)})
    return tuple(tools)


def calls_from_turn(turn: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Calls of an OpenAI assistant turn as `{"name": …, "arguments": {…}}`.

    Raises:
        BadRow: a call without a name, or arguments that are not a JSON object.
    """
    calls = turn.get("tool_calls")
    if calls is None:
        return ()
    if not isinstance(calls, list):
        raise BadRow(f"tool_calls is {type_name(calls)}, not a list")
    return tuple(parse_call(call.get("function", call) if isinstance(call, Mapping) else call) for call in calls)


def in_call_order(turns: list[Any]) -> list[Any]:
    """Turns as they came, but results in the order of the calls they answer, where both carry ids.

    Records have no ids: the first result of an assistant turn answers its first call.

    Raises:
        BadRow: a result names a call that the turn before it did not make.
    """
    ordered: list[Any] = []
    ids: list[Any] = []
    first = 0
    for turn in turns:
        answers = turn.get("tool_call_id") if isinstance(turn, Mapping) else None
        if answers is not None and ids:
            if answers not in ids:
                raise BadRow("a tool turn's tool_call_id is none of the calls before it")
            ordered.append(turn)
            ordered[first:] = sorted(ordered[first:], key=lambda result: ids.index(result["tool_call_id"]))
            continue
        calls = turn.get("tool_calls") if isinstance(turn, Mapping) else None
        ids = [call.get("id") for call in calls if isinstance(call, Mapping)] if isinstance(calls, list) else []
        ids = ids if None not in ids else []
        ordered.append(turn)
        first = len(ordered)
    return ordered


def calls_from_text(text: str) -> tuple[dict[str, Any], ...]:
    """Calls of a ShareGPT `function_call` turn, whose text is one call or a list of calls as JSON.

    Raises:
        BadRow: as `calls_from_turn`, or not JSON.
    """
    value = decoded(text, "a function_call turn")
    calls = tuple(parse_call(call) for call in (value if isinstance(value, list) else [value]))
    if not calls:
        raise BadRow("a function_call turn has no call")
    return calls


def parse_call(call: object) -> dict[str, Any]:
    """One call as `{"name": …, "arguments": {…}}`; arguments may be an object, its JSON text, or none.

    Raises:
        BadRow: no name, or arguments that are not an object.
    """
    if not isinstance(call, Mapping) or not isinstance(call.get("name"), str) or not call["name"]:
        raise BadRow("a tool call has no name")
    arguments = call.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError):
            raise BadRow("the arguments of a tool call are not JSON") from None
    if not isinstance(arguments, Mapping | None):
        raise BadRow("the arguments of a tool call are not an object")
    return {"name": call["name"], "arguments": dict(arguments or {})}
