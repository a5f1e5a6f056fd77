"""Rows of .jsonl (an object a line) and .json (a list of objects, objects one after another, or one object around them)."""

import json
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path

from medicalgpt.config.sections import Encodings
from medicalgpt.data.encoding import is_damaged, numbered_lines, open_text
from medicalgpt.data.formats.fields import KNOWN_NAMES, fold_name
from medicalgpt.data.rows.json_columns import NO_NAMES, by_position, names_in, table_rows
from medicalgpt.data.rows.json_object import entry_rows, object_row, object_rows
from medicalgpt.data.rows.json_values import JsonValues
from medicalgpt.data.rows.row import Row
from medicalgpt.data.rows.squad import is_article

_ARTICLE = "a SQuAD article, which holds many questions (a file of such is named .json)"
NOT_DECODED = "bytes that are no text in the file's encoding"


def jsonl_rows(path: Path, encoding: Encodings = "auto", tolerant: bool = False) -> Iterator[Row]:
    """An object a line; blank lines are no rows. A line that is no object becomes a row with a problem.

    `tolerant`: so does a line that does not decode.

    Raises:
        DataError: the file cannot be read or decoded, or a line has no end.
    """
    for number, line in jsonl_lines(path, encoding, tolerant):
        yield Row(number, None, NOT_DECODED) if tolerant and is_damaged(line) else jsonl_row(number, line)


def jsonl_lines(path: Path, encoding: Encodings = "auto", tolerant: bool = False) -> Iterator[tuple[int, str]]:
    """Numbers and lines that hold something, for `jsonl_row`; arguments and errors as of `jsonl_rows`."""
    lines = numbered_lines(path, newline="\n", encoding=encoding, tolerant=tolerant)
    return ((number, line.strip()) for number, line in lines)


def jsonl_row(number: int, line: str) -> Row:
    """The row of a line."""
    try:
        value = json.loads(line)
        return Row(number, None, _ARTICLE) if is_article(value) else object_row(number, value)
    except json.JSONDecodeError as error:  # .msg and .colno only: str(error.doc) is the row
        hint = "; a file that is one list of rows is named .json" if line.startswith("[") else ""
        return Row(number, None, "not valid JSON", f"{error.msg}, column {error.colno}{hint}")
    except (ValueError, RecursionError):
        return Row(number, None, "not usable JSON", "a number too long or lists nested too deep")


def json_rows(path: Path, columns: Mapping[str, str] | None = None, encoding: Encodings = "auto") -> Iterator[Row]:
    """A list of objects (or of lists), objects one after another, or one object that holds them in a list, under keys or as columns.

    Args:
        columns: as `open_rows`; an object with such a column is a row.

    Raises:
        DataError: the file cannot be read or decoded, holds a syntax error (nothing after it can be told apart), or one object
            with several lists, or with columns that do not match.
    """
    with open_text(path, newline="\n", encoding=encoding) as text:
        values = JsonValues(text, path)
        opening = values.peek()
        if opening == "{":
            known = KNOWN_NAMES | {fold_name(column) for column in (columns or {}).values()}
            yield from object_rows(values, known)
        elif opening == "[":
            yield from _listed(values.items(), columns or {})
            if values.peek():
                values.fail("more text after the closing ']'")
        elif opening:
            values.fail("it begins with neither '[' nor '{'")


def _listed(values: Iterator[object], columns: Mapping[str, str]) -> Iterator[Row]:
    """The rows of a list: its objects, or lists of cells below a first list with the columns' names."""
    first = list(islice(values, 1))
    if first and isinstance(first[0], list):
        if names := names_in(first[0], columns, KNOWN_NAMES):
            yield from table_rows(names, values)
            return
        if names := by_position(first[0], columns):
            yield from table_rows(names, chain(first, values))
            return
    number = 0
    for value in chain(first, values):
        for row in entry_rows(number + 1, value):
            number = row.number
            yield Row(number, None, NO_NAMES) if isinstance(value, list) else row
