"""The seam for what an answer consists of: text, and calls of tools that are written in it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from medicalgpt.render.template import ChatTemplate
from medicalgpt.render.tool_formats import ContentDelta, Delta, Tools
from medicalgpt.serve.api.errors import ApiError


class AnswerParser(Protocol):
    """Takes an answer's text piece by piece and gives its parts as soon as they are certain."""

    def push(self, text: str) -> Sequence[Delta]:
        """Take a piece."""
        ...

    def finish(self) -> Sequence[Delta]:
        """The rest when no more pieces come."""
        ...


class PlainText:
    """All of it is text."""

    def push(self, text: str) -> Sequence[Delta]:
        """See `AnswerParser`."""
        return [ContentDelta(text)] if text else []

    def finish(self) -> Sequence[Delta]:
        """See `AnswerParser`."""
        return []


Parsers = Callable[[ChatTemplate, Tools], Callable[[], AnswerParser]]
"""For a template and the tools of a request: makes a parser for each answer. Raises ApiError where calls cannot be read."""


def no_parsers(template: ChatTemplate, tools: Tools) -> Callable[[], AnswerParser]:
    """Answers are text; tools are refused, as calls would come back as text that the client cannot run.

    Raises:
        ApiError: there are tools.
    """
    if tools:
        raise ApiError(400, "tools: this server cannot read tool calls from this model's answers", param="tools")
    return PlainText
