"""One row of an input file, as every reader of this package yields it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One input row: its fields, or why it has none. `number` counts from 1 as in `Source`; `line` is given where it
    differs (a table record behind cells of several lines)."""

    number: int
    fields: dict[str, Any] | None
    problem: str = ""
    where: str = ""
    line: int | None = None
