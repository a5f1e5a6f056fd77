"""What rows with judged answers share: a prompt in any spelling, and answers that are a text, a turn or a list of turns."""

from collections.abc import Mapping
from typing import Any, Final

from medicalgpt.data.formats.choices import chosen_text
from medicalgpt.data.formats.columns import peek
from medicalgpt.data.formats.fields import (
    CHOSEN,
    CONVERSATIONS,
    QUESTION,
    BadRow,
    checked_text,
    required_text,
    type_name,
)
from medicalgpt.data.formats.options import Options, options_of
from medicalgpt.data.formats.questions import question_turns
from medicalgpt.data.formats.spelled import is_spelled, spelled_turns
from medicalgpt.data.formats.turns import turns_or_turn
from medicalgpt.data.records import Message

Turns = tuple[Message, ...]

_ORDER: Final = (*CONVERSATIONS, "prompt", "messages", *QUESTION, "instruction")


def prompt_turns(row: Mapping[str, Any]) -> Turns | None:
    """The turns before the answers, None when the row has no prompt of its own.

    Raises:
        BadRow: the prompt is null or of another form.
    """
    name = _prompt_name(row)
    if name is None:
        present = next((n for n in _ORDER if n in row), None)
        if present and not any(isinstance(peek(row, n), list) for n in CHOSEN):
            raise BadRow(f"{present} is null")
        return None
    value = row[name]
    if isinstance(value, list | Mapping) or name in (*CONVERSATIONS, "messages"):
        return tuple(turns_or_turn(row, name))
    if isinstance(value, str) and is_spelled(value):
        return tuple(spelled_turns(value))
    return question_turns(row, required_text(row, (name,)))


def _prompt_name(row: Mapping[str, Any]) -> str | None:
    return next((name for name in _ORDER if peek(row, name) is not None), None)


def _options(row: Mapping[str, Any]) -> Options | None:
    """The options that stand below the row's question; a conversation has none."""
    name = _prompt_name(row)
    asked = peek(row, name) if name is not None and name not in (*CONVERSATIONS, "messages") else None
    return options_of(row) if isinstance(asked, str) and not is_spelled(asked) else None


def answer_turns(row: Mapping[str, Any], name: str) -> Turns:
    """The answer in one column, which is a text, one turn or a list of turns.

    Raises:
        BadRow: missing, blank, or of another form.
    """
    if name not in row:
        raise BadRow(f"{name} is missing")
    value = row[name]
    if isinstance(value, list | Mapping):
        return tuple(turns_or_turn(row, name))
    if isinstance(value, str) and is_spelled(value):
        return tuple(spelled_turns(value))
    if value is not None and not isinstance(value, str):
        raise BadRow(f"{name} is {type_name(value)}, not text, a turn or a list of turns")
    text, options = checked_text(value, name), _options(row)
    return (Message("assistant", chosen_text(text, options) if options else text),)


def without_prompt(prompt: Turns, answer: Turns) -> Turns:
    """Some data sets repeat the prompt (with or without its system turn) in front of both answers."""
    for start in (prompt, tuple(m for m in prompt if m.role != "system")):
        if len(answer) > len(start) > 0 and answer[: len(start)] == start:
            return answer[len(start) :]
    return answer
