"""Source shapes: seven ways in which data sets spell a sample, and the choice among them."""

from collections.abc import Mapping
from typing import Any, Final

from medicalgpt.data.formats.conversations import MESSAGES, SHAREGPT
from medicalgpt.data.formats.feedback import FEEDBACK
from medicalgpt.data.formats.fields import BadRow, required_text
from medicalgpt.data.formats.names import TEXT, check_columns, fold_name, fold_row, rename
from medicalgpt.data.formats.preference import PREFERENCE
from medicalgpt.data.formats.questions import ALPACA, QA
from medicalgpt.data.formats.shape import Shape
from medicalgpt.data.records import Document

__all__ = ["SHAPES", "BadRow", "Shape", "check_columns", "fold_name", "fold_row", "shaped"]

DOCUMENT: Final = Shape(
    name="document",
    kind="document",
    expects="text (or content, document, abstract, 文本, 正文, 内容, 摘要), or a .txt or .md file with text in it",
    columns=frozenset(TEXT),
    matches=lambda row: any(name in row for name in TEXT),
    convert=lambda row, source: Document(required_text(row, TEXT), source),
)

# The most telling names first: `chosen` decides over `messages`, and `messages` over a `prompt` beside it.
SHAPES: tuple[Shape, ...] = (PREFERENCE, FEEDBACK, MESSAGES, SHAREGPT, ALPACA, QA, DOCUMENT)


def shaped(fields: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Shape, dict[str, Any]]:
    """The shape of a row, and the row under the names which that shape's `convert` takes.

    Raises:
        BadRow: no shape has these columns.
    """
    row, mapped = rename(fold_row(fields), columns)
    usable = [shape for shape in SHAPES if mapped <= shape.columns]
    filled = {name: value for name, value in row.items() if value is not None}
    for candidate in (filled, row):  # tables that join several sources leave the columns of the others null
        for shape in usable:
            if shape.matches(candidate):
                return shape, row
    if mapped and not usable:
        raise BadRow(f"data.columns names {', '.join(sorted(mapped))}, which no shape has together")
    names = [name for name in row if len(name) <= 40 and name.isprintable()][:20]
    raise BadRow("no column has a name we know", f"columns: {', '.join(names)}")
