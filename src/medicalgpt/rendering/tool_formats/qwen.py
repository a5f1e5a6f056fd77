"""Qwen's and Hermes' format: each call a JSON object between tags.

As in the chat templates of Qwen 2.5 and Qwen 3 (https://huggingface.co/Qwen/Qwen2.5-7B-Instruct) and Hermes 2 Pro.
"""

from collections.abc import Sequence

from medicalgpt.data.records import Message
from medicalgpt.rendering.thinking import partial_match
from medicalgpt.rendering.tool_formats.base import ToolFormat, Tools, block, malformed, read_value, stands_at, waiting
from medicalgpt.rendering.tool_formats.json_text import dump, skip_space
from medicalgpt.rendering.tool_formats.stream import Call, Found

OPEN, CLOSE = "<tool_call>", "</tool_call>"


class Qwen(ToolFormat):
    """`<tool_call>{"name": …, "arguments": {…}}</tool_call>`; results come between `<tool_response>` tags."""

    name = "qwen"
    markers = (OPEN, CLOSE)

    def system(self, tools: Tools) -> str:
        """The words that these models were trained with."""
        signatures = "\n".join(dump(tool) for tool in tools)
        return (
            "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
            "You are provided with function signatures within <tools></tools> XML tags:\n"
            f"<tools>\n{signatures}\n</tools>\n\n"
            "For each function call, return a json object with function name and arguments within "
            f"{OPEN}{CLOSE} XML tags:\n"
            f'{OPEN}\n{{"name": <function-name>, "arguments": <args-json-object>}}\n{CLOSE}'
        )

    def render_calls(self, calls: Sequence[Call]) -> str:
        """One pair of tags a call, each on lines of its own."""
        return "\n".join(
            f"{OPEN}\n{dump({'name': call['name'], 'arguments': call['arguments']})}\n{CLOSE}" for call in calls
        )

    def render_result(self, message: Message) -> str:
        """The result between tags."""
        return f"<tool_response>\n{message.content}\n</tool_response>"

    def find(self, text: str, line_start: bool, final: bool) -> Found:
        """See `ToolFormat.find`."""
        start = text.find(OPEN)
        if start < 0:
            return Found(len(text) - (0 if final else partial_match(text, OPEN)))
        at = skip_space(text, start + len(OPEN))
        if at == len(text):
            return waiting(text, start, final)
        if text[at] != "{":
            return self._until_closed(text, start, malformed(start, at, "invalid_json", "a call is not JSON"), final)
        value = read_value(text, start, at)
        if value is None:
            return waiting(text, start, final)
        if isinstance(value, Found):
            return self._until_closed(text, start, value, final)
        end = skip_space(text, value[1])
        closed = stands_at(text, end, CLOSE)
        if closed == "no":
            wrong = malformed(start, end, "invalid_json", "text stands between the end of a call and its closing tag")
            return self._until_closed(text, start, wrong, final)
        if closed == "maybe" and not final:
            return Found(start)
        # A call whose tag was cut off is whole: its brackets say so.
        return block(start, min(end + len(CLOSE), len(text)), [value[0]], "arguments", "parameters")

    @staticmethod
    def _until_closed(text: str, start: int, wrong: Found, final: bool) -> Found:
        """A malformed block lasts until its closing tag."""
        closed = text.find(CLOSE, start)
        if closed >= 0:
            return Found(start, closed + len(CLOSE), (), wrong.problem)
        return Found(start, len(text), (), wrong.problem) if final else Found(start)
