"""Columns of the rows by name, as rewards ask for them."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from medicalgpt.config.near_names import did_you_mean
from medicalgpt.data.formats import fold_name
from medicalgpt.errors import DataError
from medicalgpt.rewards.answers import PromptRow

REFERENCE: Final = "reference"
"""The answer that was taken off the row, whatever its column is called; a column of this name where there is none."""


def value(row: PromptRow, name: str) -> Any:
    """What stands in a row under a name; None where nothing does. Case, and spaces around a name, make no difference.

    A function gets a list of all values, so it may ask for `answers` where the column is `answer`, as it does for `prompts`.
    A list or an object is a copy: what a reward does to it must not change the row.
    """
    if name == REFERENCE and row.reference is not None:
        return row.reference
    found = row.columns.get(name)
    if found is None:
        wanted = fold_name(name)
        found = next((v for n, v in row.columns.items() if v is not None and fold_name(n) == wanted), None)
    if found is None and len(name) > 2 and name.endswith("s"):
        return value(row, name[:-1])
    return copy.deepcopy(found) if isinstance(found, list | dict) else found


def spellings(rows: Iterable[PromptRow]) -> list[str]:
    """Every column of some rows, each as it is spelled first; `reference` where a row has an answer."""
    found: dict[str, str] = {}
    for row in rows:
        for name in row.columns:
            found.setdefault(fold_name(name), name)
        if row.reference is not None:
            found.setdefault(REFERENCE, REFERENCE)
    return list(found.values())


def require(rows: Sequence[PromptRow], name: str, who: str, remedy: str) -> None:
    """Raises DataError with the first row that has nothing under `name`, and with how many there are."""

    def problem(found: object) -> str:
        return "" if found is not None else "which this row does not have"

    require_usable(rows, name, f"{who} asks for the column '{name}'", problem, remedy)


def require_usable(rows: Sequence[PromptRow], name: str, who: str, problem: Callable[[Any], str], remedy: str) -> None:
    """Refuse rows whose value under `name` has a `problem` (words that say nothing of what the value is; "" if none).

    Raises:
        DataError: the first of these rows by file and number, how many there are, and the columns it has.
    """
    bad = [(row, said) for row in rows if (said := problem(value(row, name)))]
    if not bad:
        return
    row, said = bad[0]
    more = f" ({len(bad)} of {len(rows)} rows)" if len(rows) > 1 else ""
    raise DataError(f"{row.source}: {who}, {said}{more}; {_columns(row, name)}; {remedy}")


def _columns(row: PromptRow, name: str) -> str:
    """A row's columns as other messages show them: no long or unprintable names, which may be data."""
    names = [n for n in spellings([row]) if len(n) <= 40 and n.isprintable()][:20]
    return f"its columns: {', '.join(names) or 'none'}" + did_you_mean(name, [n for n in names if n != name]).rstrip(
        "?"
    )


def ambiguity(rows: Iterable[PromptRow]) -> str:
    """A note where rows have an answer and beside it a column `reference` with something else; "" where none has."""
    for row in rows:
        other = next((v for n, v in row.columns.items() if fold_name(n) == REFERENCE), None)
        if row.reference is not None and other is not None and other != row.reference:
            return (
                f"note: {row.source} has an answer and a column 'reference' that says something else; rewards take the "
                "answer (data.columns={answer: reference} chooses the column)"
            )
    return ""
