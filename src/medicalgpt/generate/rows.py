"""Rows of a file as prompts: the shapes that training reads, with the last answer taken off and kept as a reference."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medicalgpt.data.formats.fields import BadRow, decoded, required_text
from medicalgpt.data.formats.names import ANSWER, CONVERSATIONS, QUESTION, fold_name, fold_row
from medicalgpt.data.formats.questions import question_turns
from medicalgpt.data.formats.tools import parse_tools
from medicalgpt.data.formats.turns import check_turns, parse_turn, parse_turns, with_system
from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.data.rows import Row
from medicalgpt.errors import DataError
from medicalgpt.generate.questions import prompt_rows
from medicalgpt.render.tool_formats import check_tools

ALLOWED = (
    "messages or conversations (a list of turns), or a question as text in prompt, question or instruction (or their "
    "usual names), each with optional system, history, input and tools"
)
WRITTEN = (
    *("response", "reasoning", "tool_calls", "tool_problems", "stopped", "tokens", "reference", "dropped_turns"),
    "problem",
)
"""Columns that the output adds to a row."""

_TURN_LISTS = ("messages", *CONVERSATIONS)
_ORDER = (*_TURN_LISTS, "instruction", *QUESTION)  # as the readers of training data choose


@dataclass(frozen=True, slots=True)
class BatchPrompt:
    """One row: its columns, the prompt in it, and the answer it already had (in `answer_column`, if in one of its own)."""

    fields: dict[str, Any]
    prompt: Dialogue
    reference: str | None
    answer_column: str | None = None


@dataclass(frozen=True, slots=True)
class BadPrompt:
    """A row without a usable prompt: its columns, where the output can hold them, and what is wrong, with file:line."""

    fields: dict[str, Any]
    problem: str


def read_rows(path: Path, system: str | None = None, history: bool = True) -> Iterator[BatchPrompt | BadPrompt]:
    """The rows of one file as prompts; `system` is put before those that have no system message.

    Args:
        history: False asks the last question of every row alone (with its system message).

    Raises:
        DataError: the file cannot be read or is empty.
    """
    rows = 0
    for row in prompt_rows(path):
        rows += 1
        fields: dict[str, Any] = {}
        try:
            _check_writable(row.fields or {})
            fields = row.fields or {}
            found = parse_prompt(row, path, system)
            _check_response(fields, found.answer_column)
            yield found if history else _alone(found)
        except BadRow as bad:
            yield BadPrompt(fields, explain_bad(bad, row, path))
    if not rows:
        raise DataError(f"{path}: the file is empty: it has no rows; give a file with one prompt a row")


def read_prompts(path: Path, system: str | None = None, history: bool = True) -> Iterator[BatchPrompt]:
    """As `read_rows`, of a file whose rows all have a prompt.

    Raises:
        DataError: also where one has none, with file:line.
    """
    for row in read_rows(path, system, history):
        if isinstance(row, BadPrompt):
            raise DataError(f"{row.problem}; correct the row")
        yield row


def count_prompts(path: Path, system: str | None = None, strict: bool = True) -> int:
    """Read every row once, before a model is loaded.

    Raises:
        DataError: as `read_prompts`; or, without `strict`, only where no row at all has a prompt.
    """
    if strict:
        return sum(1 for _ in read_prompts(path, system))
    rows, first, usable = 0, "", False
    for row in read_rows(path, system):
        rows += 1
        usable = usable or isinstance(row, BatchPrompt)
        first = first or (row.problem if isinstance(row, BadPrompt) else "")
    if not usable:
        raise DataError(f"no row of {path} can be asked; the first: {first}")
    return rows


def _alone(asked: BatchPrompt) -> BatchPrompt:
    """The system message and everything from the last question on."""
    turns = asked.prompt.messages
    head = turns[:1] if turns[0].role == "system" else ()
    last = max(i for i, turn in enumerate(turns) if turn.role == "user")
    return replace(asked, prompt=replace(asked.prompt, messages=(*head, *turns[last:])))


def place(path: Path, number: int, line: int | None = None) -> str:
    """Where a row stands, for messages."""
    return f"{path}:{number}" + (f" (line {line})" if line is not None else "")


def explain_bad(bad: BadRow, row: Row, path: Path) -> str:
    """What is wrong with a row, where, and what is allowed."""
    where = f" ({bad.where})" if bad.where else ""
    return f"{place(path, row.number, row.line)}: {bad.reason}{where}; allowed: {ALLOWED}"


def parse_prompt(row: Row, path: Path, system: str | None) -> BatchPrompt:
    """One row as a prompt. Raises BadRow."""
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
    return BatchPrompt(row.fields, Dialogue(messages, Source(str(path), row.number), tools), reference, column)


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


def _check_writable(fields: Mapping[str, Any]) -> None:
    """The output must be able to hold the row as it is."""
    for name, value in fields.items():
        if name in WRITTEN and name != "response":
            raise _taken(name)
        try:
            json.dumps(value)
        except (TypeError, ValueError, RecursionError):
            raise BadRow(f"the column '{fold_name(name)[:40]}' holds a value that JSON cannot") from None


def _check_response(fields: Mapping[str, Any], answer: str | None) -> None:
    """A column `response` is fine only where it is the row's answer, which moves to `reference`."""
    if "response" in fields and answer != fold_name("response"):
        raise _taken("response")


def _taken(name: str) -> BadRow:
    return BadRow(f"the column '{name}' is one that the output adds ({', '.join(WRITTEN)}); rename or remove it")
