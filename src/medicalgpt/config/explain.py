"""Every key of a schema with its type, default, range and meaning, as rows, a table or plain lines."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from medicalgpt.config.layers import default_values
from medicalgpt.config.words import Kind, is_section, options, range_words, section_of, type_words
from medicalgpt.config.yaml_text import flow
from medicalgpt.language import translated

REQUIRED = "required"


@dataclass(frozen=True)
class Row:
    """One key. `default` is YAML text, or "required"; `allowed` is "" when every value of the type will do."""

    key: str
    type: str
    default: str
    description: str
    allowed: str


def explain(schema: type[BaseModel]) -> list[Row]:
    """One row per leaf key, in schema order; defaults are the schema's own, also where it refines a section."""
    return list(_rows(schema, "", default_values(schema)))


def _rows(schema: type[BaseModel], prefix: str, defaults: Any) -> Iterator[Row]:
    for name, info in schema.model_fields.items():
        key, kind = prefix + name, Kind(info.annotation, tuple(info.metadata))
        default = defaults.get(name) if isinstance(defaults, dict) else None
        if is_section(info.annotation):
            yield from _rows(info.annotation, f"{key}.", default)
            continue
        allowed = " | ".join(options(kind)) or range_words(kind)
        known = isinstance(defaults, dict) and name in defaults
        yield Row(key, type_words(kind), flow(default) if known else REQUIRED, info.description or "", allowed)
        if section := section_of(kind):  # an optional section: null, or these keys
            yield from _rows(section, f"{key}.", default_values(section))


def _line(row: Row) -> str:
    """A row in one line, in the reader's language where its meaning is known in it."""
    meaning = translated(row.description)
    known = meaning != row.description
    kind = _kind(row, " ({})") if known else row.type + (f" ({row.allowed})" if row.allowed else "")
    if row.default == REQUIRED:
        line = f"{row.key}: {kind}, required. {meaning}"
    else:
        line = f"{row.key}: {kind}, default {row.default}. {meaning}"
    return translated(line) if known else line


def _kind(row: Row, form: str) -> str:
    """The type and what is allowed, in the reader's language."""
    return translated(row.type, words=True) + (form.format(translated(row.allowed)) if row.allowed else "")


def print_rows(rows: Sequence[Row], title: str = "") -> None:
    """A table on a terminal; one line a key where the output goes to a file or another program."""
    if not sys.stdout.isatty():
        for row in rows:
            print(_line(row).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left")
    for heading in ("key", "type", "default", "meaning"):
        table.add_column(translated(heading), overflow="fold", style="bold" if heading == "key" else "")
    for row in rows:
        cells = (row.key, _kind(row, ": {}"), row.default, translated(row.description))
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)
