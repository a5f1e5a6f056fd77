"""Rows as prompts: the shapes that training reads, with the last answer taken off and kept as a reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from medicalgpt.data.formats.fields import BadRow, decoded, required_text
from medicalgpt.data.formats.names import ANSWER, CONVERSATIONS, QUESTION, fold_row
from medicalgpt.data.formats.questions import question_turns
from medicalgpt.data.formats.tools import parse_tools
from medicalgpt.data.formats.turns import check_turns, parse_turn, parse_turns, with_system
from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.data.rows import Row
from medicalgpt.data.tool_schemas import check_tools
from medicalgpt.errors import DataError

ALLOWED: Final = (
    "messages or conversations (a list of turns), or a question as text in prompt, question or instruction (or their "
    "usual names), each with optional system, history, input and tools"
)

_TURN_LISTS = ("messages", *CONVERSATIONS)
_ORDER = (*_TURN_LISTS, "instruction", *QUESTION)  # as the readers of training data choose


@dataclass(frozen=True, slots=True)
class ParsedPrompt:
    """A prompt (turns that end with the user or a tool, and tools) and the answer that stood in its row, if any.

    `answer_column`: the folded name of the column the answer has to itself; None for the last turn of a conversation.
    """

    prompt: Dialogue
    reference: str | None
    answer_column: str | None = None


def parse_prompt(row: Row, path: Path, system: str | None = None) -> ParsedPrompt:
    """One row as a prompt; `system` is put in front where the row has no system message.

    Raises:
        BadRow: there is no prompt in it, or none that can be asked.
    """
    if row.fields is None:
        raise BadRow(row.problem, row.where)
    fields = fold_row(row.fields)
    name = next((n for n in _ORDER if fields.get(n) is not None), None)
    if name is None:
        raise BadRow("there is no prompt: no column has a name we know, or it is null")
    value = decoded(fields[name], name) if name in _TURN_LISTS else fields[name]
    tools: tuple[dict[str, Any], ...] = ()
    column = None
    if isinstance(value, list | Mapping):
        turns = parse_turns(value, name) if isinstance(value, list) else [parse_turn(value)]
        messages, reference = _without_answer(with_system(fields, turns))
        tools = _checked_tools(fields)
    else:
        messages = question_turns(fields, required_text(fields, QUESTION if name in QUESTION else (name,)))
        column, reference = _answer(fields, name)
    check_turns(messages, end="prompt")
    if system and messages[0].role != "system":
        messages = (Message("system", system), *messages)
    return ParsedPrompt(Dialogue(messages, Source(str(path), row.number), tools), reference, column)


def _checked_tools(fields: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    tools = parse_tools(fields.get("tools"))
    try:
        check_tools(tools)
    except DataError as error:
        raise BadRow(str(error)) from None
    return tools


def _without_answer(turns: tuple[Message, ...]) -> tuple[tuple[Message, ...], str | None]:
    """A dialogue that ends with an answer, without it, and the answer's text."""
    if turns and turns[-1].role == "assistant":
        return turns[:-1], turns[-1].content or None
    return turns, None


def _answer(fields: Mapping[str, Any], name: str) -> tuple[str | None, str | None]:
    """The column with the answer to a question, and its text; a prompt needs none."""
    for column in ("output",) if name == "instruction" else ANSWER:
        value = fields.get(column)
        if isinstance(value, str) and value.strip():
            return column, value
    return None, None
