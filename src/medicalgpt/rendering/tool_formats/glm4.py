"""GLM-4's format: the tool's name on a line, its arguments as JSON on the next.

As in the chat template of GLM-4 (https://huggingface.co/THUDM/glm-4-9b-chat), without its lines about who the model is.
"""

import re
from collections.abc import Sequence

from medicalgpt.data.records import Message
from medicalgpt.rendering.tool_formats.base import ToolFormat, Tools, block, line_starts, read_value, waiting
from medicalgpt.rendering.tool_formats.json_text import dump, skip_space
from medicalgpt.rendering.tool_formats.stream import Call, Found

# A line that is a name and nothing else; one that is still being written matches too.
_NAME = re.compile(r"([^\W\d][\w.-]{0,63})[ \t\r]*")


class Glm4(ToolFormat):
    """`NAME`, a line break, `{…}`; results are turns of the role observation where the template writes it."""

    name = "glm4"
    result_role = "observation"

    def system(self, tools: Tools) -> str:
        """One section a tool, with the words that these models were trained with."""
        sections = [
            f"\n\n## {tool['function']['name']}\n\n{dump(tool['function'])}\n在调用上述函数时，请使用 Json 格式表示调用的参数。"
            for tool in tools
        ]
        return "# 可用工具" + "".join(sections)

    def render_calls(self, calls: Sequence[Call]) -> str:
        """Two lines a call."""
        return "\n".join(f"{call['name']}\n{dump(call['arguments'])}" for call in calls)

    def render_result(self, message: Message) -> str:
        """The result as it is."""
        return message.content

    def find(self, text: str, line_start: bool, final: bool) -> Found:
        """See `ToolFormat.find`. A name alone on a line is a call only when an object follows."""
        for start, word in line_starts(text, line_start):
            if word == len(text) and not final:
                return Found(start)
            named = _NAME.match(text, word)
            if not named:
                continue
            at = skip_space(text, named.end())
            if at == len(text):
                if final:
                    continue
                return Found(start)
            if "\n" not in text[named.end() : at] or text[at] != "{":
                continue
            value = read_value(text, start, at)
            if value is None:
                return waiting(text, start, final)
            if isinstance(value, Found):
                return value
            return block(start, value[1], [{"name": named.group(1), "arguments": value[0]}], "arguments")
        return Found(len(text))
