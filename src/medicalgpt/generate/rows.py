"""Rows of a batch file: the prompts in them, and whether the output can hold their columns."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medicalgpt.data.formats.fields import BadRow, fold_name
from medicalgpt.data.ledger import Rejected, convert_rows
from medicalgpt.data.prompts import ALLOWED, parse_prompt
from medicalgpt.data.records import Dialogue
from medicalgpt.data.rows import Row
from medicalgpt.errors import DataError
from medicalgpt.generate.questions import prompt_rows

WRITTEN = (
    *("response", "reasoning", "tool_calls", "tool_problems", "stopped", "tokens", "reference", "dropped_turns"),
    "problem",
)
"""Columns that the output adds to a row."""


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

    def convert(row: Row) -> BatchPrompt:
        _check_writable(row.fields or {})
        parsed = parse_prompt(row, path, system)
        fields = row.fields or {}
        _check_response(fields, parsed.answer_column)
        asked = BatchPrompt(fields, parsed.prompt, parsed.reference, parsed.answer_column)
        return asked if history else _alone(asked)

    for found in convert_rows(path, prompt_rows(path), convert, lambda: ALLOWED, "give a file with one prompt a row"):
        yield BadPrompt(_writable(found.row), found.problem) if isinstance(found, Rejected) else found


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


def _writable(row: Row) -> dict[str, Any]:
    """A row's columns, none of them where the output cannot hold one."""
    fields = row.fields or {}
    with suppress(BadRow):
        _check_writable(fields)
        return fields
    return {}


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
