"""An answer taken apart into text and calls, all at once or while its pieces come, with the same result."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from medicalgpt.rendering.tool_formats.json_text import dump
from medicalgpt.rendering.tool_formats.problems import CallProblem

Call = dict[str, Any]
"""`{"name": …, "arguments": {…}}`, as records have it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What `find` sees in a text: content up to `start`, then a block of calls up to `end`.

    `end` is None while the block, or what may become one, is not whole; `start` is the length of the text where there is
    none. A block has calls or a problem.
    """

    start: int
    end: int | None = None
    calls: tuple[Call, ...] = ()
    problem: CallProblem | None = None


Find = Callable[[str, bool, bool], Found]
"""`find(text, line_start, final)`: the first block of a text. `line_start` says whether the text begins a line, `final`
that no more will come. What it says about a text must not change when more text comes."""


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """Text to show."""

    text: str


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A call as an OpenAI stream gives it: `arguments` is JSON text."""

    index: int
    id: str
    name: str
    arguments: str


Delta = ContentDelta | CallDelta


class Parsed(NamedTuple):
    """An answer taken apart."""

    content: str
    calls: tuple[Call, ...]
    problems: tuple[CallProblem, ...]


def new_call_id() -> str:
    """A name for a call, new each time."""
    return f"call_{secrets.token_hex(12)}"


class CallStream:
    """Takes an answer's pieces; gives text and calls as soon as they are certain.

    A marker is never shown in part. A call is given out whole, once it is checked, because a client that has seen its
    name cannot be told to forget it. A block with a malformed call stays in the content as it stands, and its problem is
    added to `problems`. Blank text around calls is left out.
    """

    def __init__(
        self, find: Find, tools: Sequence[Mapping[str, Any]] = (), new_id: Callable[[], str] = new_call_id
    ) -> None:
        from medicalgpt.rendering.tool_formats.checker import CallChecker  # lazy: jsonschema, which few rows need

        self.calls: list[Call] = []
        self.problems: list[CallProblem] = []
        self._find, self._new_id = find, new_id
        self._checker = CallChecker(tools)
        self._text = ""  # what came and is not given out
        self._line_start = True  # whether it begins a line
        self._space = ""  # blank text that is content only if more content comes
        self._said = self._call_was_last = False

    def push(self, text: str) -> list[Delta]:
        """Take a piece; gives what is certain now."""
        self._text += text
        return self._advance(final=False)

    def finish(self) -> list[Delta]:
        """The rest when no more pieces come."""
        deltas = self._advance(final=True)
        if self._space and not self._call_was_last:
            deltas.append(ContentDelta(self._space))
        self._space = ""
        return deltas

    def _advance(self, final: bool) -> list[Delta]:
        deltas: list[Delta] = []
        while self._text:
            found = self._find(self._text, self._line_start, final)
            deltas += self._say(self._take(found.start))
            if found.end is None:
                break
            block = self._take(found.end - found.start)
            problem = found.problem or next(filter(None, map(self._checker.problem, found.calls)), None)
            if problem:
                self.problems.append(problem)
                deltas += self._say(block)
            else:
                deltas += map(self._call, found.calls)
        return deltas

    def _take(self, length: int) -> str:
        taken, self._text = self._text[:length], self._text[length:]
        if taken:
            self._line_start = taken.endswith("\n")
        return taken

    def _say(self, text: str) -> list[Delta]:
        text = self._space + text
        if not self._said and self.calls:
            text = text.lstrip()
        shown = text.rstrip()
        self._space = text[len(shown) :]
        if not shown:
            return []
        self._said, self._call_was_last = True, False
        return [ContentDelta(shown)]

    def _call(self, call: Call) -> CallDelta:
        self.calls.append(call)
        self._call_was_last = True
        return CallDelta(len(self.calls) - 1, self._new_id(), call["name"], dump(call["arguments"]))


def parse(find: Find, text: str, tools: Sequence[Mapping[str, Any]] = ()) -> Parsed:
    """A finished answer taken apart."""
    stream = CallStream(find, tools)
    deltas = [*stream.push(text), *stream.finish()]
    content = "".join(delta.text for delta in deltas if isinstance(delta, ContentDelta))
    return Parsed(content, tuple(stream.calls), tuple(stream.problems))
