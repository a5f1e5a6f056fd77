"""The default format, for models that were not trained for tools: words that any model can write (ReAct, arXiv 2210.03629)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from medicalgpt.data.records import Message
from medicalgpt.rendering.tool_formats.base import (
    ToolFormat,
    Tools,
    block,
    line_starts,
    malformed,
    read_value,
    stands_at,
    waiting,
)
from medicalgpt.rendering.tool_formats.json_text import dump, line_end, skip_space
from medicalgpt.rendering.tool_formats.stream import Call, Found

ACTION, INPUT = "Action:", "Action Input:"

# What follows "Action:" up to the end of the line; a name that is still being written matches too.
_NAME = re.compile(r"[ \t]*(\S{0,64})[ \t\r]*")


class React(ToolFormat):
    """`Action: NAME` and on the next line `Action Input: {…}`; results come as `Observation: …`."""

    name = "react"

    def system(self, tools: Tools) -> str:
        """Each tool in words, and how to use one."""
        names = ", ".join(tool["function"]["name"] for tool in tools)
        return (
            "You can use these tools:\n\n" + "\n\n".join(_describe(tool["function"]) for tool in tools) + "\n\n"
            "To use a tool, write these two lines and then wait for its result:\n"
            f"{ACTION} the name of the tool, one of: {names}\n"
            f"{INPUT} its arguments as one JSON object\n\n"
            "The result comes as a message that begins with Observation:. When no tool is needed, answer in plain text."
        )

    def render_calls(self, calls: Sequence[Call]) -> str:
        """Two lines a call."""
        return "\n".join(f"{ACTION} {call['name']}\n{INPUT} {dump(call['arguments'])}" for call in calls)

    def render_result(self, message: Message) -> str:
        """The result behind its word."""
        return f"Observation: {message.content}"

    def find(self, text: str, line_start: bool, final: bool) -> Found:
        """See `ToolFormat.find`. A line that begins with "Action:" and is not followed by an input is plain text."""
        for start, word in line_starts(text, line_start):
            here = stands_at(text, word, ACTION)
            if here == "maybe" and not final:
                return Found(start)
            if here != "yes":
                continue
            named = _NAME.match(text, word + len(ACTION))
            assert named is not None  # it matches nothing at all, too
            name, end = named.group(1), named.end()
            if end == len(text):
                if final:
                    continue
                return Found(start)
            if not name or text[end] != "\n":
                continue
            at = skip_space(text, end)
            here = stands_at(text, at, INPUT)
            if here == "maybe":
                return waiting(text, start, final)
            if here == "yes":
                return self._arguments(text, start, name, skip_space(text, at + len(INPUT)), final)
        return Found(len(text))

    @staticmethod
    def _arguments(text: str, start: int, name: str, at: int, final: bool) -> Found:
        if at == len(text):
            return waiting(text, start, final)
        wrong = malformed(start, at, "invalid_json", f"{name}: the input is not a JSON object", name)
        if text[at] == "{":
            value = read_value(text, start, at)
            if value is None:
                return waiting(text, start, final)
            if not isinstance(value, Found):
                return block(start, value[1], [{"name": name, "arguments": value[0]}], "arguments")
            wrong = value
        end = line_end(text, wrong.end or at, final)
        return Found(start) if end is None else Found(start, end, (), wrong.problem)


def _describe(function: Mapping[str, Any]) -> str:
    """A tool's name, description and arguments, one line an argument. Schemas of training rows may be no schemas at all."""
    parameters = _mapping(function.get("parameters"))
    required = parameters.get("required")
    required = required if isinstance(required, list) else []
    lines = [f"{function['name']}: {function.get('description') or 'no description'}"]
    for name, described in _mapping(parameters.get("properties")).items():
        schema = _mapping(described)
        facts = [str(schema.get("type", "any type")), "required" if name in required else "optional"]
        facts += [f"one of {dump(schema['enum'])}"] if "enum" in schema else []
        about = f": {schema['description']}" if schema.get("description") else ""
        lines.append(f"- {name} ({', '.join(facts)}){about}")
    return "\n".join(lines)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
