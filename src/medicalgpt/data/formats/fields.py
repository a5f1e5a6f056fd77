"""Checks of single fields. A reason never quotes the field: it may be a patient's words."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


class BadRow(Exception):
    """A row that cannot be used: `reason` is counted in the ledger, `where` places it within the row, and `allowed`
    is what the row's shape expects."""

    def __init__(self, reason: str, where: str = "", allowed: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = where
        self.allowed = allowed


def type_name(value: object) -> str:
    """A value's type in plain words."""
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def checked_text(value: object, label: str) -> str:
    """`value` as text that is not blank.

    Raises:
        BadRow: null, another type, blank, or text that no encoding can write.
    """
    if value is None:
        raise BadRow(f"{label} is null")
    if not isinstance(value, str):
        raise BadRow(f"{label} is {type_name(value)}, not text")
    if not value.strip():
        raise BadRow(f"{label} is blank")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # JSON may spell half of a surrogate pair
            raise BadRow(f"{label} holds half of a surrogate pair (broken \\ud83d-like escape)") from None
    return value


def find(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Which of `names` the row has; the first one wins over its synonyms, one with a value over one that is null.

    Raises:
        BadRow: several synonyms have values, so it is unclear which one is meant.
    """
    present = [name for name in names if name in row]
    filled = [name for name in present if row[name] is not None]
    if names[0] in filled or len(filled) == 1:
        return filled[0]
    if len(filled) > 1:
        two = " and ".join(repr(name) for name in filled)
        raise BadRow(f"{two} could each be the {names[0]}; choose with data.columns={{{names[0]}: NAME}}")
    return present[0] if present else None


def required_text(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """The text of the one column that `names` (canonical name, then synonyms) finds.

    Raises:
        BadRow: missing, null, blank, or not text.
    """
    name = find(row, names)
    if name is None:
        raise BadRow(f"{names[0]} is missing")
    return checked_text(row[name], name)


def optional_text(row: Mapping[str, Any], name: str) -> str:
    """The text of a column that may be absent, null or blank: then "".

    Raises:
        BadRow: another type.
    """
    value = row.get(name)
    if value is None or value == "" or (isinstance(value, str) and not value.strip()):
        return ""
    return checked_text(value, name)


def decoded(value: object, label: str) -> Any:
    """A structure that a table had to spell as JSON text, decoded; any other value, and blank text as None, unchanged.

    Raises:
        BadRow: text that is not JSON.
    """
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise BadRow(f"{label} is text that is not JSON") from None
