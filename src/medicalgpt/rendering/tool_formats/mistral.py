"""Mistral's format: one marker, then a JSON list of calls.

As in the chat template of Mistral 7B Instruct v0.3 (https://huggingface.co/mistralai/Mistral-7B-Instruct-v0.3).
"""

from collections.abc import Sequence

from medicalgpt.data.records import Message
from medicalgpt.rendering.thinking import partial_match
from medicalgpt.rendering.tool_formats.base import ToolFormat, Tools, block, malformed, read_value, waiting
from medicalgpt.rendering.tool_formats.json_text import dump, line_end, skip_space
from medicalgpt.rendering.tool_formats.stream import Call, Found

CALLS = "[TOOL_CALLS]"


class Mistral(ToolFormat):
    """`[TOOL_CALLS] [{"name": …, "arguments": {…}}]`; tools and results stand between markers of their own."""

    name = "mistral"
    markers = (CALLS,)

    def system(self, tools: Tools) -> str:
        """The list of tools between its markers."""
        return f"[AVAILABLE_TOOLS] {dump(list(tools))}[/AVAILABLE_TOOLS]"

    def render_calls(self, calls: Sequence[Call]) -> str:
        """All calls in one list."""
        return f"{CALLS} " + dump([{"name": call["name"], "arguments": call["arguments"]} for call in calls])

    def render_result(self, message: Message) -> str:
        """The result as JSON between its markers."""
        return f"[TOOL_RESULTS] {dump({'content': message.content})}[/TOOL_RESULTS]"

    def find(self, text: str, line_start: bool, final: bool) -> Found:
        """See `ToolFormat.find`."""
        start = text.find(CALLS)
        if start < 0:
            return Found(len(text) - (0 if final else partial_match(text, CALLS)))
        at = skip_space(text, start + len(CALLS))
        if at == len(text):
            return waiting(text, start, final)
        wrong = malformed(start, at, "invalid_json", "a list of calls is not JSON")
        if text[at] in "[{":
            value = read_value(text, start, at)
            if value is None:
                return waiting(text, start, final)
            if not isinstance(value, Found):
                values = value[0] if isinstance(value[0], list) else [value[0]]
                return block(start, value[1], values, "arguments")
            wrong = value
        end = line_end(text, wrong.end or at, final)
        return Found(start) if end is None else Found(start, end, (), wrong.problem)
