"""What rows with judged answers share: a prompt in any spelling, and answers that are a text, a turn or a list of turns."""

from collections.abc import Mapping
from typing import Any

from medicalgpt.data.formats.fields import BadRow, checked_text, required_text, type_name
from medicalgpt.data.formats.names import CONVERSATIONS, QUESTION
from medicalgpt.data.formats.questions import question_turns
from medicalgpt.data.formats.turns import parse_turn, parse_turns
from medicalgpt.data.records import Message

Turns = tuple[Message, ...]


def prompt_turns(row: Mapping[str, Any]) -> Turns | None:
    """The turns before the answers, None when the row has no prompt of its own.

    Raises:
        BadRow: the prompt is null or of another form.
    """
    order = (*CONVERSATIONS, "prompt", "messages", *QUESTION, "instruction")
    name = next((n for n in order if row.get(n) is not None), None)
    if name is None:
        present = next((n for n in order if n in row), None)
        if present and not isinstance(row.get("chosen"), list):
            raise BadRow(f"{present} is null")
        return None
    value = row[name]
    if isinstance(value, Mapping):
        return (parse_turn(value),)
    if isinstance(value, list) or name in (*CONVERSATIONS, "messages"):
        return tuple(parse_turns(value, name))
    return question_turns(row, required_text(row, (name,)))


def answer_turns(row: Mapping[str, Any], name: str) -> Turns:
    """The answer in one column, which is a text, one turn or a list of turns.

    Raises:
        BadRow: missing, blank, or of another form.
    """
    if name not in row:
        raise BadRow(f"{name} is missing")
    value = row[name]
    if isinstance(value, Mapping):
        return (parse_turn(value),)
    if isinstance(value, list):
        return tuple(parse_turns(value, name))
    if value is not None and not isinstance(value, str):
        raise BadRow(f"{name} is {type_name(value)}, not text, a turn or a list of turns")
    return (Message("assistant", checked_text(value, name)),)


def without_prompt(prompt: Turns, answer: Turns) -> Turns:
    """Some data sets repeat the prompt (with or without its system turn) in front of both answers."""
    for start in (prompt, tuple(m for m in prompt if m.role != "system")):
        if len(answer) > len(start) > 0 and answer[: len(start)] == start:
            return answer[len(start) :]
    return answer
