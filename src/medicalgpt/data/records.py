"""The four kinds of samples: document, dialogue, preference, feedback; each knows the file and row it came from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
Kind = Literal["document", "dialogue", "preference", "feedback"]
Tools = Sequence[dict[str, Any]]
"""OpenAI-style descriptions of functions that a model may call."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row came from. `row` counts from 1: the line of a text file, the record of a table or JSON array."""

    file: str
    row: int

    def __str__(self) -> str:
        return f"{self.file}:{self.row}"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `tool_calls` holds OpenAI-style calls of an assistant turn (`{"name": …, "arguments": …}`).

    `weight` is the loss weight that the data gives the turn, from 0 (context, not learned) to 1; None where it says nothing.
    It is no part of what was said: two turns with the same words are equal.
    """

    role: Role
    content: str
    tool_calls: tuple[dict[str, Any], ...] = ()
    weight: float | None = field(default=None, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """The mapping chat templates expect."""
        out: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            out["tool_calls"] = [{"type": "function", "function": call} for call in self.tool_calls]
        return out


@dataclass(frozen=True, slots=True)
class Document:
    """Running text for continued pretraining. Where it `ends` with its last word a document end follows; a passage does not.

    `weight` multiplies the loss weight of its tokens.
    """

    text: str
    source: Source
    weight: float = 1.0
    ends: bool = True


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns in order: at most one leading system message, then user/tool and assistant alternate; ends with assistant
    when it is training data, with user when it is a prompt. Several tool turns may answer one assistant turn that made
    as many calls. `tools` are OpenAI-style: `{"type": "function", "function": {…}}`."""

    messages: tuple[Message, ...]
    source: Source
    tools: tuple[dict[str, Any], ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preference:
    """One prompt (ends with a user or tool turn) and two continuations (one or more turns, assistant last)."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    source: Source
    tools: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Feedback:
    """One prompt, one continuation (one or more turns, assistant last) and the verdict on it, without a counterpart."""

    prompt: tuple[Message, ...]
    answer: tuple[Message, ...]
    desirable: bool
    source: Source
    tools: tuple[dict[str, Any], ...] = ()


Record = Document | Dialogue | Preference | Feedback
