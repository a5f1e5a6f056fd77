"""Source shapes: nine ways in which data sets spell a sample, and the choice among them."""

from collections.abc import Mapping
from typing import Any, Final

from medicalgpt.data.formats.columns import Columns, is_media, mark_read
from medicalgpt.data.formats.completion import COMPLETION
from medicalgpt.data.formats.conversations import MESSAGES, SHAREGPT
from medicalgpt.data.formats.feedback import FEEDBACK
from medicalgpt.data.formats.fields import NOTE, TEXT, BadRow, check_columns, fold_name, fold_row, rename, required_text
from medicalgpt.data.formats.preference import PREFERENCE
from medicalgpt.data.formats.questions import ALPACA, INPUT_OUTPUT, QA
from medicalgpt.data.formats.shape import Shape
from medicalgpt.data.records import Document

__all__ = ["SHAPES", "BadRow", "Shape", "as_columns", "check_columns", "fold_name", "fold_row", "shaped"]

DOCUMENT: Final = Shape(
    name="document",
    kind="document",
    expects="text (or content, document, abstract, 文本, 正文, 内容, 摘要), or a .txt or .md file with text in it",
    columns=frozenset(TEXT),
    matches=lambda row: any(name in row for name in TEXT),
    convert=lambda row, source: Document(required_text(row, TEXT), source),
)

# The most telling names first: `chosen` decides over `messages`, and `messages` over a `prompt` beside it.
SHAPES: tuple[Shape, ...] = (PREFERENCE, FEEDBACK, MESSAGES, SHAREGPT, COMPLETION, ALPACA, QA, DOCUMENT, INPUT_OUTPUT)


def shaped(fields: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Shape, Columns]:
    """The shape of a row, and the row under the names which that shape's `convert` takes.

    Raises:
        BadRow: no shape has these columns.
    """
    row, mapped = as_columns(fields, columns)
    mapped -= {"weight", NOTE}
    usable = [shape for shape in SHAPES if mapped <= shape.columns] if mapped else SHAPES
    filled = {name: value for name, value in row.fields.items() if value is not None}
    for candidate in (filled, row.fields):  # tables that join several sources leave the columns of the others null
        for shape in usable:
            if shape.matches(candidate):
                return shape, row
    if mapped and not usable:
        raise BadRow(f"data.columns names {', '.join(sorted(mapped))}, which no shape has together")
    names = [name for name in row if len(name) <= 40 and name.isprintable()][:20]
    raise BadRow("no column has a name we know", f"columns: {', '.join(names)}")


def as_columns(fields: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Columns, frozenset[str]]:
    """A row under folded names, mapped columns under their canonical ones; also gives the names that were mapped.

    Raises:
        BadRow: two names differ only in case, or the row holds pictures, sound or films.
    """
    folded = fold_row(fields)
    row, mapped = rename(folded, columns)
    _refuse_media(row)
    found = Columns(row, folded, {name: fold_name(columns[name]) for name in mapped})
    if NOTE in mapped:  # for people: known, and nothing to learn
        mark_read(found, NOTE)
    return found, mapped


def _refuse_media(row: Mapping[str, Any]) -> None:
    """Refuse a row with pictures, sound or films: without them its text means something else.

    Raises:
        BadRow: naming the column.
    """
    for name, value in row.items():
        if is_media(name) and value not in (None, "", [], {}, False):
            raise BadRow(
                f"the column '{name}' holds pictures, sound or films, which are not read, and without them the row means "
                'something else; take such rows out, or set data.columns={images: "-"} to learn the text alone'
            )
