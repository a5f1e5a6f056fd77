"""Llama 3's format: a call is a bare JSON object with `name` and `parameters`.

As in the chat template of Llama 3.1 (https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct), which writes one call a turn;
several stand in a list here.
"""

import re
from collections.abc import Mapping, Sequence

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

TAG = "<|python_tag|>"

# An object whose first key is a name was meant as a call, also when the rest is no JSON.
_MEANT = re.compile(r"\[?\s*\{\s*\"name\"\s*:")


class Llama3(ToolFormat):
    """`{"name": …, "parameters": {…}}` at the start of a line, with or without `<|python_tag|>` before it."""

    name = "llama3"
    markers = (TAG,)
    result_role = "ipython"

    def system(self, tools: Tools) -> str:
        """The words that these models were trained with."""
        signatures = "\n\n".join(dump(tool) for tool in tools)
        return (
            "You have access to the following functions. To call a function, please respond with JSON for a function call."
            'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.'
            f"Do not use variables.\n\n{signatures}"
        )

    def render_calls(self, calls: Sequence[Call]) -> str:
        """One object, or a list of them."""
        values = [{"name": call["name"], "parameters": call["arguments"]} for call in calls]
        return dump(values[0] if len(values) == 1 else values)

    def render_result(self, message: Message) -> str:
        """The result as it is."""
        return message.content

    def find(self, text: str, line_start: bool, final: bool) -> Found:
        """See `ToolFormat.find`. JSON that is no call is plain text."""
        done = 0
        for start, word in line_starts(text, line_start):
            if start < done:  # inside an object that is no call
                continue
            tag = stands_at(text, word, TAG)
            if tag == "maybe" and not final:
                return Found(start)
            at = skip_space(text, word + len(TAG)) if tag == "yes" else word
            if tag == "yes" and at == len(text):
                return waiting(text, start, final)
            if text[at : at + 1] == "[" and (item := skip_space(text, at + 1)) == len(text) and not final:
                return Found(start)
            elif text[at : at + 1] == "{" or (text[at : at + 1] == "[" and text[item : item + 1] == "{"):
                found = self._value(text, start, at, tag == "yes", final)
                if isinstance(found, Found):
                    return found
                done = found
            elif tag == "yes":
                end = line_end(text, at, final)
                wrong = "what follows <|python_tag|> is no JSON call"
                return Found(start) if end is None else malformed(start, end, "invalid_json", wrong)
        return Found(len(text))

    @staticmethod
    def _value(text: str, start: int, at: int, tagged: bool, final: bool) -> Found | int:
        """The block that a JSON value is; or, when it is no call, where looking goes on."""
        value = read_value(text, start, at)
        meant = tagged or bool(_MEANT.match(text, at))
        if value is None:
            return waiting(text, start, final) if meant or not final else start + 1
        if isinstance(value, Found):
            end = line_end(text, value.end or at, final)
            if not meant:
                return start + 1
            return Found(start) if end is None else Found(start, end, (), value.problem)
        values = value[0] if isinstance(value[0], list) else [value[0]]
        if not tagged and not all(_is_call(item) for item in values):
            return value[1]
        return block(start, value[1], values, "parameters", "arguments")


def _is_call(value: object) -> bool:
    return isinstance(value, Mapping) and "name" in value and ("parameters" in value or "arguments" in value)
