"""One file per source shape, and the choice among them."""

from collections.abc import Mapping
from typing import Any, Protocol

from medicalgpt.data.formats import alpaca, document, feedback, messages, preference, qa, sharegpt
from medicalgpt.data.formats.fields import BadRow
from medicalgpt.data.formats.names import check_columns, fold_name, fold_row, rename
from medicalgpt.data.records import Kind, Record, Source

__all__ = ["SHAPES", "BadRow", "Shape", "check_columns", "fold_name", "shaped"]


class Shape(Protocol):
    """What a module of this package offers."""

    @property
    def NAME(self) -> str: ...
    @property
    def KIND(self) -> Kind: ...
    @property
    def EXPECTS(self) -> str: ...
    @property
    def COLUMNS(self) -> frozenset[str]: ...

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether a row with folded names has this shape."""
        ...

    def convert(self, row: Mapping[str, Any], source: Source) -> Record:
        """The row as a record. Raises BadRow."""
        ...


# The most telling names first: `chosen` decides over `messages`, and `messages` over a `prompt` beside it.
SHAPES: tuple[Shape, ...] = (preference, feedback, messages, sharegpt, alpaca, qa, document)


def shaped(fields: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Shape, dict[str, Any]]:
    """The shape of a row, and the row under the names which that shape's `convert` takes.

    Raises:
        BadRow: no shape has these columns.
    """
    row, mapped = rename(fold_row(fields), columns)
    usable = [shape for shape in SHAPES if mapped <= shape.COLUMNS]
    filled = {name: value for name, value in row.items() if value is not None}
    for candidate in (filled, row):  # tables that join several sources leave the columns of the others null
        for shape in usable:
            if shape.matches(candidate):
                return shape, row
    if mapped and not usable:
        raise BadRow(f"data.columns names {', '.join(sorted(mapped))}, which no shape has together")
    names = [name for name in row if len(name) <= 40 and name.isprintable()][:20]
    raise BadRow("no column has a name we know", f"columns: {', '.join(names)}")
