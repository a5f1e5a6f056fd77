"""What Alpaca rows and question/answer rows share: an optional input and history around one question."""

from collections.abc import Mapping
from typing import Any

from medicalgpt.data.formats.fields import BadRow, checked_text, decoded, optional_text
from medicalgpt.data.formats.turns import with_system
from medicalgpt.data.records import Message


def asked(row: Mapping[str, Any], question: str) -> tuple[Message, ...]:
    """The turns up to the question: system, then history (a list of [question, answer]), then question and input.

    Raises:
        BadRow: system, input or history of another form.
    """
    extra = optional_text(row, "input")
    turns = [*_history(row.get("history")), Message("user", f"{question}\n{extra}" if extra else question)]
    return with_system(row, turns)


def _history(value: object) -> list[Message]:
    value = decoded(value, "history")
    if value is None:
        return []
    turns = []
    if not isinstance(value, list) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in value):
        raise BadRow("history is not a list of [question, answer] pairs")
    for question, answer in value:
        turns.append(Message("user", checked_text(question, "a question in history")))
        turns.append(Message("assistant", checked_text(answer, "an answer in history")))
    return turns
