"""Rows as prompts: the shapes that training reads, with the last answer taken off and kept as a reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from medicalgpt.data.formats import as_columns
from medicalgpt.data.formats.choices import UnclearChoice, choice_of
from medicalgpt.data.formats.columns import Columns, peek
from medicalgpt.data.formats.completion import is_turns
from medicalgpt.data.formats.fields import (
    ANSWER,
    CONVERSATIONS,
    INPUT,
    QUESTION,
    TARGET,
    TOOLS,
    BadRow,
    decoded,
    find,
    required_text,
)
from medicalgpt.data.formats.options import options_of
from medicalgpt.data.formats.questions import question_turns
from medicalgpt.data.formats.tools import parse_tools
from medicalgpt.data.formats.turns import check_turns, turns_or_turn, with_system
from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.data.rows import Row
from medicalgpt.data.tool_schemas import check_tools
from medicalgpt.errors import DataError

ALLOWED: Final = (
    "messages or conversations (a list of turns), or a question as text in prompt, question, instruction (or their usual "
    "names) or input, each with optional system, history, input, options and tools"
)

_TURN_LISTS = ("messages", *CONVERSATIONS)
_ORDER = (*_TURN_LISTS, "instruction", *QUESTION, "input")  # as the readers of training data choose


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

    A multiple-choice answer that could name several options is no reference.

    Raises:
        BadRow: there is no prompt in it, or none that can be asked.
    """
    return prompt_of(columns_of(row, {}), Source(str(path), row.number), system, strict=False)


def columns_of(row: Row, columns: Mapping[str, str]) -> Columns:
    """A row under the names by which prompts are found, with `data.columns`. Raises BadRow."""
    if row.fields is None:
        raise row.refused
    return as_columns(row.fields, columns)[0]


def prompt_of(row: Columns, source: Source, system: str | None, *, strict: bool = True) -> ParsedPrompt:
    """As `parse_prompt`; what was read of the row, it knows.

    Args:
        strict: refuse an answer that could name several options.
    """
    name = next((n for n in _ORDER if peek(row, n) is not None), None)
    if name is None:
        raise BadRow("there is no prompt: no column has a name we know, or it is null")
    beside = ("context",) if name == "input" else INPUT
    value = decoded(peek(row, name), name) if name in _TURN_LISTS else peek(row, name)
    column = None
    if isinstance(value, list | Mapping):
        turns = turns_or_turn(row, name)
        messages, reference = _without_answer(with_system(row, turns))
        if reference is None and name in QUESTION:
            column, reference = _answer_beside(row)
    else:
        messages = question_turns(row, required_text(row, QUESTION if name in QUESTION else (name,)), beside)
        column, reference = _answer(row, name, strict)
    check_turns(messages, end="prompt")
    if system and messages[0].role != "system":
        messages = (Message("system", system), *messages)
    return ParsedPrompt(Dialogue(messages, source, _checked_tools(row)), reference, column)


def _checked_tools(row: Columns) -> tuple[dict[str, Any], ...]:
    tools = parse_tools(row.get(find(row, TOOLS) or TOOLS[0]))
    try:
        check_tools(tools)
    except DataError as error:
        raise BadRow(str(error)) from None
    return tools


def _without_answer(turns: tuple[Message, ...]) -> tuple[tuple[Message, ...], str | None]:
    """A dialogue that ends with an answer, without it, and the answer's text."""
    if turns and turns[-1].role == "assistant":
        return turns[:-1], (turns[-1].content or None) if turns[-1].weight != 0 else None
    return turns, None


def _answer(row: Columns, name: str, strict: bool) -> tuple[str | None, str | None]:
    """The column with the answer to a question, and its text, or the letters of the right options; a prompt needs none."""
    columns = {"instruction": ("output",), "input": ("output", *TARGET, *ANSWER)}.get(name, ANSWER)
    if options := options_of(row):
        try:
            choice = choice_of(row, options, columns, ("output",), TARGET)
        except UnclearChoice:
            choice = None
            if strict:
                raise
        return (choice.column, choice.key) if choice else (None, None)
    return _in_words(row, columns)


def _in_words(row: Columns, columns: Sequence[str]) -> tuple[str | None, str | None]:
    """The first of some columns that holds a text or a whole number, and that."""
    for column in columns:
        value = peek(row, column)
        if (isinstance(value, str) and value.strip()) or (isinstance(value, int) and not isinstance(value, bool)):
            return column, str(row[column])
    return None, None


def _answer_beside(row: Columns) -> tuple[str | None, str | None]:
    """The answer to a prompt of turns, as TRL has them: a column with its text, or the last turn of a completion in turns,
    which is no column of text. Raises BadRow."""
    name = next((name for name in ANSWER if isinstance(peek(row, name), list | Mapping)), None)
    if name is None:
        return _in_words(row, ANSWER)
    value = peek(row, name)
    if not is_turns(value):
        return None, None
    turns = turns_or_turn(row, name)
    return None, _without_answer(tuple(turns))[1]
