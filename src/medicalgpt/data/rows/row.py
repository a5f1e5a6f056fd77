"""One row of an input file, as every reader of this package yields it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medicalgpt.data.formats.fields import BadRow, NotLearned
from medicalgpt.errors import DataError


@dataclass(frozen=True, slots=True)
class Row:
    """One input row: its fields, or why it has none. `number` counts from 1 as in `Source`; `line` is given where it
    differs (a table record behind cells of several lines), `note` where something about the file is odd. `passed`: that it has no
    fields is no fault, as of a page that is a picture in a document with text; `allowed` says what would have some."""

    number: int
    fields: dict[str, Any] | None
    problem: str = ""
    where: str = ""
    line: int | str | None = None
    note: str = ""
    passed: bool = False
    allowed: str = ""

    @property
    def bare(self) -> "Row":
        """The row without its fields."""
        return Row(self.number, None, self.problem, self.where, self.line, self.note, self.passed, self.allowed)

    @property
    def refused(self) -> BadRow:
        """Why it has no fields, to be raised."""
        return (NotLearned if self.passed else BadRow)(self.problem, self.where, self.allowed)


class UnknownHeader(DataError):
    """A table none of whose columns has a name we know. `rows`: its first ones; none where the header may be data."""

    def __init__(self, problem: str, rows: Sequence[Mapping[str, str]]) -> None:
        super().__init__(problem)
        self.rows = rows
