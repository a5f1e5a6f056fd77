"""JSON values that hold rows as columns or cells: a dictionary of columns, what pandas writes, and lists of lists.

Only what cannot be a row itself is taken apart; what is near to such a shape and is none is an error that names it.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeGuard

from medicalgpt.data.formats.columns import shown
from medicalgpt.data.formats.fields import fold_name
from medicalgpt.data.rows.row import Row
from medicalgpt.errors import DataError

_SPLIT: Final = {"columns", "index", "data", "index_names", "column_names"}
_OF_TURNS: Final = {"role", "from", "content", "value", "text", "type", "messages"}
CELLS: Final = "another number of cells than columns"
NO_NAMES: Final = (
    "a JSON list, not an object (a list of lists needs a first one with the columns' names, or names by position: "
    'data.columns={question: "0", answer: "1"})'
)
Fields = dict[str, object]


def rows_within(fields: Fields, known: Collection[str], path: Path) -> Iterator[Row] | None:
    """The rows of an object that holds them as columns, as cells or under keys of its only member; None where it is a row.

    Args:
        known: folded names of columns.

    Raises:
        DataError: columns that do not match, or several members with rows.
    """
    if cells := _split(fields):
        return table_rows(*cells)
    if _is_lists(fields) and _has_texts(fields, known):
        return _from_lists(fields, path)
    if _is_objects(fields) and _is_indexed(fields, known):
        return _from_objects(fields, path)
    if inner := _keyed(fields, known, path):
        return (Row(number, dict(row)) for number, row in enumerate(inner.values(), 1))
    return None


def table_rows(names: list[str], cells: Iterator[object]) -> Iterator[Row]:
    """Lists of cells as rows under names."""
    for number, values in enumerate(cells, 1):
        if not isinstance(values, list):
            yield Row(number, None, "no list among lists")
        elif len(values) != len(names):
            yield Row(number, None, CELLS, f"{len(values)} cells, the table has {len(names)} columns")
        else:
            yield Row(number, dict(zip(names, values)))


def names_in(first: list[object], columns: Mapping[str, str], known: Collection[str]) -> list[str] | None:
    """The columns' names where the first of several lists holds them; None where it is no such list."""
    names = [value.strip() for value in first if isinstance(value, str)]
    wanted = {fold_name(column) for column in columns.values()}
    if len(names) < len(first) or not any(fold_name(name) in known or fold_name(name) in wanted for name in names):
        return None
    return names


def by_position(first: list[object], columns: Mapping[str, str]) -> list[str] | None:
    """Numbers as names where `data.columns` names columns so; else None."""
    if columns and all(column.strip().isdecimal() for column in columns.values()):
        return [str(i) for i in range(len(first))]
    return None


def is_indexed(value: object) -> bool:
    """Whether a value is a column as pandas writes it: values under the numbers of their rows."""
    return isinstance(value, dict) and bool(value) and all(str(key).isdecimal() for key in value)


def holds_keyed(value: object, known: Collection[str]) -> bool:
    """Whether a value is an object of objects, and no row."""
    return _is_objects(value) and bool(value) and not any(fold_name(name) in known for name in value)


def _split(fields: Fields) -> tuple[list[str], Iterator[object]] | None:
    """pandas' `split`: the names, and the lists of cells."""
    names, data = fields.get("columns"), fields.get("data")
    if not set(fields) <= _SPLIT or not isinstance(names, list) or not isinstance(data, list):
        return None
    if not all(isinstance(name, str | int) for name in names) or not all(isinstance(cells, list) for cells in data):
        return None
    return [str(name) for name in names], iter(data)


def _is_lists(value: Fields) -> TypeGuard[dict[str, list[object]]]:
    return bool(value) and all(isinstance(item, list) for item in value.values())


def _is_objects(value: object) -> TypeGuard[dict[str, Fields]]:
    return isinstance(value, dict) and bool(value) and all(isinstance(item, dict) for item in value.values())


def _has_texts(fields: dict[str, list[object]], known: Collection[str]) -> bool:
    """Whether a column we know holds anything but turns: a list of turns is what a row has."""
    ours = [values for name, values in fields.items() if fold_name(name) in known]
    return bool(ours) and not any(isinstance(values[0], dict) for values in ours if values)


def _from_lists(fields: dict[str, list[object]], path: Path) -> Iterator[Row]:
    lengths = {name: len(values) for name, values in fields.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{path}: one object of columns that differ in length ({_sizes(lengths)}); {_ADVICE}")
    return table_rows(list(fields), (list(cells) for cells in zip(*fields.values())))


def _is_indexed(fields: dict[str, Fields], known: Collection[str]) -> bool:
    if all(map(is_indexed, fields.values())):
        return True
    ours = [values for name, values in fields.items() if fold_name(name) in known]
    return bool(ours) and not any(_OF_TURNS & {fold_name(key) for key in values} or not values for values in ours)


def _from_objects(fields: dict[str, Fields], path: Path) -> Iterator[Row]:
    keys = {name: frozenset(values) for name, values in fields.items()}
    if len(set(keys.values())) > 1:
        sizes = _sizes({name: len(found) for name, found in keys.items()})
        raise DataError(f"{path}: one object of columns whose values have different keys ({sizes}); {_ADVICE}")
    rows = next(iter(fields.values()))
    return (Row(number, {name: fields[name][key] for name in fields}) for number, key in enumerate(rows, 1))


_ADVICE: Final = "write it as a list of objects (pandas: orient='records')"


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{shown(name)}: {size}" for name, size in list(sizes.items())[:5])


def _keyed(fields: Fields, known: Collection[str], path: Path) -> dict[str, Fields] | None:
    """The rows under keys of the only member that has such, as in `{"version": …, "data": {id: row}}`."""
    if any(fold_name(name) in known for name in fields):
        return None
    holders = {name: value for name, value in fields.items() if holds_keyed(value, known)}
    if len(holders) > 1:
        names = ", ".join(shown(name) for name in list(holders)[:5])
        raise DataError(
            f"{path}: one object with several objects of objects ({names}), and which of them holds the rows cannot be told; "
            "write each into a file of its own"
        )
    (found,) = holders.values() or (None,)
    return found if _is_objects(found) else None
