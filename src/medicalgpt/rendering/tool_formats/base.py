"""What every tool format is: how tools, calls and results are written as text, and how calls are found in text."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from medicalgpt.data.formats.fields import BadRow
from medicalgpt.data.formats.tools import parse_call
from medicalgpt.data.records import Message
from medicalgpt.rendering.tool_formats import stream
from medicalgpt.rendering.tool_formats.json_text import load, value_end
from medicalgpt.rendering.tool_formats.problems import CallProblem, Kind, shown_name
from medicalgpt.rendering.tool_formats.stream import Call, CallStream, Found, Parsed

_SPACES = re.compile(r"[ \t]*")
_ANY = "any_tool"  # stands for a name
_LINE = re.compile(r"\n[ \t]*")

Tools = Sequence[Mapping[str, Any]]
"""OpenAI's spelling: `{"type": "function", "function": {"name": …, "description": …, "parameters": {…}}}`."""


class ToolFormat(ABC):
    """One way to write tools and calls. What `render_calls` writes, `parse` reads back."""

    name: ClassVar[str]
    markers: ClassVar[tuple[str, ...]] = ()
    """Texts that some tokenizers have as special tokens; they must stay visible when an answer is decoded."""
    result_role: ClassVar[str] = "user"
    """The role of a tool's result, for templates that write any role."""

    @abstractmethod
    def system(self, tools: Tools) -> str:
        """What the model is told about its tools."""

    @abstractmethod
    def render_calls(self, calls: Sequence[Call]) -> str:
        """Calls as the model writes them."""

    @abstractmethod
    def render_result(self, message: Message) -> str:
        """A tool's result as the model reads it."""

    @abstractmethod
    def find(self, text: str, line_start: bool, final: bool) -> Found:
        """The first block of calls in a text: see `stream.Find`."""

    def assistant(self, message: Message) -> str:
        """An assistant's turn: its text, then its calls."""
        parts = [message.content, self.render_calls(message.tool_calls) if message.tool_calls else ""]
        return "\n".join(part for part in parts if part)

    def opening(self, tool: str | None = None) -> str:
        """How a call of a tool begins, up to its arguments; or of any tool, up to the name.

        Empty where nothing stands before the name. A blank at the end is left to the model: it belongs to the next token.
        """
        written = self.render_calls([{"name": tool or _ANY, "arguments": {}}])
        return written.rpartition("{}" if tool else _ANY)[0].rstrip(" ")

    def parse(self, text: str, tools: Tools = ()) -> Parsed:
        """A finished answer as (content, calls, problems); never raises for what a model wrote."""
        return stream.parse(self.find, text, tools)

    def stream(self, tools: Tools = ()) -> CallStream:
        """The same for an answer whose pieces are still coming."""
        return CallStream(self.find, tools)


def malformed(start: int, end: int, kind: Kind, reason: str, tool: str | None = None) -> Found:
    """A block that was meant as a call and is none."""
    return Found(start, end, (), CallProblem(kind, reason, tool))


def read_value(text: str, start: int, at: int) -> tuple[Any, int] | Found | None:
    """The JSON object or list that opens at `at`, and where it ends; or what is wrong with it; or None while it is open.

    A malformed one ends where its brackets do, or with its line where they do not match.
    """
    state, end = value_end(text, at)
    if state == "open":
        return None
    if state == "broken":
        return malformed(start, end, "invalid_json", "a call is not JSON: a bracket or quotation mark does not match")
    try:
        return load(text[at:end]), end
    except ValueError:
        return malformed(start, end, "invalid_json", "a call is not JSON")


def read_call(value: object, *argument_keys: str) -> Call | CallProblem:
    """A call from the object a model wrote; its arguments are under one of `argument_keys`, and none are an empty object."""
    if not isinstance(value, Mapping):
        return CallProblem("not_a_call", "a call is not an object with a name and arguments")
    arguments = next((value[key] for key in argument_keys if key in value), None)
    try:
        return parse_call({"name": value.get("name"), "arguments": arguments})
    except BadRow as bad:
        return CallProblem("not_a_call", bad.reason, shown_name(value.get("name")))


def block(start: int, end: int, values: Sequence[object], *argument_keys: str) -> Found:
    """A block from the objects in it; one that is no call spoils all of it."""
    calls: list[Call] = []
    for value in values:
        call = read_call(value, *argument_keys)
        if isinstance(call, CallProblem):
            return Found(start, end, (), call)
        calls.append(call)
    if not calls:
        return malformed(start, end, "not_a_call", "a list of calls is empty")
    return Found(start, end, tuple(calls))


def waiting(text: str, start: int, final: bool) -> Found:
    """A block that is not whole: held while more may come, else malformed."""
    if not final:
        return Found(start)
    return malformed(start, len(text), "unfinished", "the answer ended in the middle of a call")


Ahead = Literal["yes", "no", "maybe"]


def stands_at(text: str, at: int, marker: str) -> Ahead:
    """Whether `marker` stands at a place; maybe, while the text may still become it."""
    rest = text[at : at + len(marker)]
    return "yes" if rest == marker else "maybe" if marker.startswith(rest) else "no"


def line_starts(text: str, line_start: bool) -> list[tuple[int, int]]:
    """For each line that begins in the text: where it begins, and where its first character that is no space is."""
    found = [(0, _SPACES.match(text).end())] if line_start else []  # type: ignore[union-attr]  # it matches any text
    return found + [(line.start() + 1, line.end()) for line in _LINE.finditer(text)]
