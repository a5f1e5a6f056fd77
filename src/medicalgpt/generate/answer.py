"""What an answer consists of: thoughts, text for the user, and calls of tools. One reading for every front end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medicalgpt.rendering.thinking import Split, ThinkingStream, split_thinking
from medicalgpt.rendering.tool_formats import Call, CallProblem, ContentDelta, Delta, ToolFormat


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of the thoughts."""

    text: str


AnswerDelta = ReasoningDelta | Delta


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer. `reasoning` is None where the model did not think; malformed calls stay in `content`."""

    content: str
    reasoning: str | None = None
    calls: tuple[Call, ...] = ()
    problems: tuple[CallProblem, ...] = ()


def read_answer(
    text: str,
    tool_format: ToolFormat | None = None,
    tools: Sequence[Mapping[str, object]] = (),
    thinking: bool = False,
) -> Answer:
    """Take a finished answer apart.

    Args:
        tool_format: how the model writes calls (`template.tool_use.format`); calls are looked for only when there are tools.
        tools: what the model may call.
        thinking: the prompt opened a thinking block (`EncodedPrompt.thinking`).
    """
    reasoning, content = split_thinking(text, thinking)
    found = reasoning or None
    if tool_format is None or not tools:
        return Answer(content, found)
    parsed = tool_format.parse(content, tools)
    return Answer(parsed.content, found, parsed.calls, parsed.problems)


class AnswerStream:
    """The same for an answer whose pieces are still coming; the deltas together are what `read_answer` gives."""

    def __init__(
        self,
        tool_format: ToolFormat | None = None,
        tools: Sequence[Mapping[str, object]] = (),
        thinking: bool = False,
    ) -> None:
        self._thinking = ThinkingStream(thinking)
        self._calls = tool_format.stream(tools) if tool_format is not None and tools else None

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls so far."""
        return tuple(self._calls.calls) if self._calls else ()

    @property
    def problems(self) -> tuple[CallProblem, ...]:
        """What was wrong with calls so far."""
        return tuple(self._calls.problems) if self._calls else ()

    def push(self, text: str) -> list[AnswerDelta]:
        """Take a piece; gives what is certain now."""
        return self._deltas(self._thinking.push(text))

    def finish(self) -> list[AnswerDelta]:
        """The rest when no more pieces come."""
        deltas = self._deltas(self._thinking.finish())
        return deltas + (self._calls.finish() if self._calls else [])

    def _deltas(self, split: Split) -> list[AnswerDelta]:
        deltas: list[AnswerDelta] = [ReasoningDelta(split.reasoning)] if split.reasoning else []
        if split.answer:
            deltas += self._calls.push(split.answer) if self._calls else [ContentDelta(split.answer)]
        return deltas
