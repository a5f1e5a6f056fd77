"""JSON files that are one object: a row, or what holds the rows, in a list (`{"version": …, "data": [row, …]}`), under keys
(`{id: row, id: row}`), or as columns.

Which of them it is can only be told when enough of it was seen; beyond HELD its rows are handed on one by one.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Literal

from medicalgpt.data.formats.columns import shown
from medicalgpt.data.formats.fields import fold_name
from medicalgpt.data.rows.json_columns import holds_keyed, is_indexed, rows_within
from medicalgpt.data.rows.json_values import JsonValues
from medicalgpt.data.rows.row import Row
from medicalgpt.data.rows.squad import is_article, question_rows
from medicalgpt.errors import DataError

HELD = 4 << 20  # characters
MOST_HELD = 512 << 20  # of an object that must be seen whole: a column of it ends where the file does
_LIST_LINE = "a JSON list, not an object (a file that is one list of rows is named .json)"


def object_row(number: int, value: object) -> Row:
    """A value as a row; one that is no object has a problem."""
    if isinstance(value, dict):
        return Row(number, value)
    if isinstance(value, list):
        return Row(number, None, _LIST_LINE)
    return Row(number, None, "JSON, but not an object")


def entry_rows(number: int, value: object) -> Iterator[Row]:
    """The rows of one value of a list or object, numbered from `number`: one, or the questions of a SQuAD article."""
    if isinstance(value, dict) and is_article(value):
        yield from question_rows(number, value)
    else:
        yield object_row(number, value)


@dataclass(frozen=True, slots=True)
class _Part:
    """A member of the object, or (`of_list`) one value of a member that is a list and begins with an object."""

    member: int
    name: str
    value: Any
    of_list: bool


Kind = Literal["row", "whole", "wrapped", "keyed"]
"""`whole`: the rows are in it in a way that shows only when all of it was seen."""


@dataclass
class _Seen:
    """What was seen of the object so far."""

    values: JsonValues
    known: Collection[str]
    is_row: bool = False
    all_objects: bool = True
    all_columns: bool = True
    all_keyed: bool = True
    lists: dict[int, str] = field(default_factory=dict)

    def see(self, part: _Part) -> None:
        """Count a part in."""
        self.is_row = self.is_row or fold_name(part.name) in self.known
        self.all_objects = self.all_objects and isinstance(part.value, dict) and not part.of_list
        self.all_columns = self.all_columns and is_indexed(part.value)
        self.all_keyed = self.all_keyed and holds_keyed(part.value, self.known)
        if part.of_list:
            self.lists[part.member] = part.name

    def kind(self) -> Kind:
        """What it is by that. Raises DataError: several lists, so it is unclear which one holds the rows."""
        if self.is_row:
            return "row"
        if len(self.lists) > 1:
            names = ", ".join(shown(name) for name in list(self.lists.values())[:5])
            raise DataError(
                f"{self.values.path}: one object with several lists of objects ({names}), and which of them holds the rows "
                "cannot be told; write each into a file of its own"
            )
        if self.lists:
            return "wrapped"
        if self.all_columns or self.all_keyed:
            return "whole"
        return "keyed" if self.all_objects else "row"


def object_rows(values: JsonValues, known: Collection[str]) -> Iterator[Row]:
    """The rows of a text that begins with an object.

    Args:
        known: folded names of columns; an object that has one is a row.

    Raises:
        DataError: a syntax error, several lists of objects, none of which is a column, or columns that do not match.
    """
    seen = _Seen(values, known)
    held: list[_Part] = []
    parts = _parts(values)
    for part in parts:
        held.append(part)
        seen.see(part)
        _check_size(values)
        if values.passed > HELD and seen.kind() in ("wrapped", "keyed"):
            yield from _inner_rows(chain(held, parts), seen)
            return
    if values.peek():  # objects one after another are rows, whatever is in them
        number = 0
        for value in chain([_whole(held)], _further(values)):
            for row in entry_rows(number + 1, value):
                number = row.number
                yield row
    elif not held or seen.kind() in ("row", "whole"):
        whole = _whole(held)
        yield from rows_within(whole, known, values.path) or [Row(1, whole)]
    else:
        yield from _inner_rows(iter(held), seen)


def _further(values: JsonValues) -> Iterator[object]:
    while values.peek():
        yield values.take()


def _inner_rows(parts: Iterator[_Part], seen: _Seen) -> Iterator[Row]:
    """The rows in the object: the values of its list, or of all its members."""
    kind = seen.kind()
    number = 0
    for part in parts:
        seen.see(part)
        if kind == "wrapped":
            seen.kind()  # a second list may come
        elif part.of_list:
            raise DataError(
                f"{seen.values.path}: one object with objects under keys, and a list of objects ({shown(part.name)}) among "
                "them; write each into a file of its own"
            )
        if part.of_list or kind == "keyed":
            for row in entry_rows(number + 1, part.value):
                number = row.number
                yield row
    if seen.values.peek():
        seen.values.fail("more text after the closing '}'")


def _parts(values: JsonValues) -> Iterator[_Part]:
    for member, name in enumerate(values.names()):
        if values.peek() != "[":
            yield _Part(member, name, values.take(), False)
            continue
        items = values.items()
        first = list(islice(items, 1))
        if first and isinstance(first[0], dict):
            for value in chain(first, items):
                yield _Part(member, name, value, True)
        else:
            yield _Part(member, name, list(chain(first, _bounded(values, items))), False)


def _bounded(values: JsonValues, items: Iterator[object]) -> Iterator[object]:
    """The values of a list that is held as a whole. Raises DataError where the object goes on without an end."""
    for item in items:
        _check_size(values)
        yield item


def _check_size(values: JsonValues) -> None:
    if values.passed > MOST_HELD:
        values.fail(f"one object of columns, or one row, with more than {MOST_HELD >> 20} million characters")


def _whole(parts: Sequence[_Part]) -> dict[str, Any]:
    """The object put together again; of a name that comes twice the last one counts, as in JSON at large."""
    found: dict[str, Any] = {}
    member = -1
    for part in parts:
        if not part.of_list:
            found[part.name] = part.value
        elif part.member != member:
            found[part.name] = [part.value]
        else:
            found[part.name].append(part.value)
        member = part.member
    return found
