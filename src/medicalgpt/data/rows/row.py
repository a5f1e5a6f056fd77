"""One row of an input file, as every reader of this package yields it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medicalgpt.errors import DataError


@dataclass(frozen=True, slots=True)
class Row:
    """One input row: its fields, or why it has none. `number` counts from 1 as in `Source`; `line` is given where it
    differs (a table record behind cells of several lines), `note` where something about the file is odd."""

    number: int
    fields: dict[str, Any] | None
    problem: str = ""
    where: str = ""
    line: int | None = None
    note: str = ""


class UnknownHeader(DataError):
    """A table none of whose columns has a name we know. `rows`: its first ones; none where the header may be data."""

    def __init__(self, problem: str, rows: Sequence[Mapping[str, str]]) -> None:
        super().__init__(problem)
        self.rows = rows
