"""Tools and tool calls in OpenAI's spelling, from any of the spellings that data sets use."""

import json
import math
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
        check_json(function, "tools")
        if not isinstance(function.get("parameters"), Mapping | bool | None):
            raise BadRow(f"tools has an entry whose parameters are {type_name(function['parameters'])}, not an object")
        if not isinstance(function.get("description"), str | None):
            raise BadRow(f"tools has an entry whose description is {type_name(function['description'])}, not text")
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
    if not any(isinstance(turn, Mapping) and turn.get("tool_call_id") is not None for turn in turns):
        return turns
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
    check_json([call["name"], arguments], "a tool call")
    return {"name": call["name"], "arguments": dict(arguments or {})}


MOST_DEPTH = 64


def check_json(value: object, label: str) -> None:
    """Prove that a structure can be written as JSON text, and read back.

    Raises:
        BadRow: a number that is none (NaN), half of a surrogate pair, another type than JSON has, or too deep.
    """
    waiting: list[tuple[object, int]] = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise BadRow(f"{label}: nested deeper than {MOST_DEPTH}")
        if isinstance(item, str):
            if not item.isascii() and any("\ud800" <= c <= "\udfff" for c in item):
                raise BadRow(f"{label}: half of a surrogate pair (broken \\ud83d-like escape)")
        elif isinstance(item, float):
            if not math.isfinite(item):
                raise BadRow(f"{label}: a number that JSON cannot write (NaN or infinite)")
        elif isinstance(item, Mapping):
            if not all(isinstance(key, str) for key in item):
                raise BadRow(f"{label}: a name that is not text")
            waiting += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, list | tuple):
            waiting += [(part, depth + 1) for part in item]
        elif not isinstance(item, bool | int | None):
            raise BadRow(f"{label}: a value of type {type(item).__name__}, which JSON cannot write")
