"""One row as a record, whatever stands before and behind it: what may be done in any order, and in any process."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from medicalgpt.data.formats import SHAPES, BadRow, Shape, fold_name, shaped
from medicalgpt.data.formats.weights import learned, weight_of
from medicalgpt.data.ledger import Rejected, rejected
from medicalgpt.data.records import Dialogue, Document, Feedback, Kind, Record, Source
from medicalgpt.data.rows import Row

T = TypeVar("T")
REPLACEMENT = "\ufffd"

# A pair is two verdicts on one prompt, so where feedback is read pairs will do; whoever renders them takes them apart.
ACCEPTED: Final[dict[Kind, tuple[Kind, ...]]] = {
    "document": ("document",),
    "dialogue": ("dialogue",),
    "preference": ("preference",),
    "feedback": ("feedback", "preference"),
}


class Converted(NamedTuple):
    """A row as a record; `left` names the columns (and keys of turns) that hold something and that nothing read."""

    shape: Shape
    record: Record
    left: tuple[str, ...]


def row_record(row: Row, file: str, columns: Mapping[str, str]) -> Converted:
    """The shape and the record of one row, with the loss weight that the row gives itself.

    Raises:
        BadRow: the row cannot be used.
    """
    if row.fields is None:
        raise row.refused
    shape, row_fields = shaped(row.fields, columns)
    try:
        weight = weight_of(row_fields, "the row")
        record = learned(shape.convert(row_fields, Source(file, row.number)), weight)
    except BadRow as bad:
        bad.allowed = shape.expects
        raise
    return Converted(shape, record, row_fields.left())


class ReadRow(NamedTuple, Generic[T]):
    """What came of a row: a `value` made of its record, or why there is none.

    `row` is without its fields. `present` are those of the mapped columns that it has, `other` the name and kind of its
    shape where that is not the kind asked for.
    """

    row: Row
    present: frozenset[str]
    value: T | None = None
    left: tuple[str, ...] = ()
    damaged: bool = False
    other: tuple[str, Kind] | None = None
    refused: Rejected | None = None


def read_row(row: Row, file: str, columns: Mapping[str, str], kind: Kind, use: Callable[[Record], T]) -> ReadRow[T]:
    """Read a row of `kind` and use its record."""
    place = row.bare
    present = frozenset[str]()
    if columns and row.fields is not None:
        names = {fold_name(name) for name in row.fields}
        present = frozenset(column for column in columns.values() if fold_name(column) in names)
    try:
        shape, record, left = row_record(row, file, columns)
    except BadRow as bad:
        return ReadRow(place, present, refused=rejected(Path(file), place, bad, lambda: allowed_for(kind)))
    if shape.kind not in ACCEPTED[kind]:
        return ReadRow(place, present, other=(shape.name, shape.kind))
    damaged = any(REPLACEMENT in text for text in record_texts(record))
    return ReadRow(place, present, use(record), left, damaged)


def with_value(read: ReadRow[Record], value: T | None) -> ReadRow[T]:
    """A row that was read as its record, with what was made of that instead."""
    return ReadRow(read.row, read.present, value, read.left, read.damaged, read.other, read.refused)


def allowed_for(kind: Kind) -> str:
    """What rows of a kind may look like, for messages."""
    return " or ".join(shape.expects for shape in SHAPES if shape.kind in ACCEPTED[kind])


def record_texts(record: Record) -> list[str]:
    """All running text of a record, in order."""
    if isinstance(record, Document):
        return [record.text]
    if isinstance(record, Dialogue):
        return [turn.content for turn in record.messages]
    if isinstance(record, Feedback):
        return [turn.content for turn in (*record.prompt, *record.answer)]
    return [turn.content for turn in (*record.prompt, *record.chosen, *record.rejected)]
