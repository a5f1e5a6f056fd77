"""What a source shape is: the columns it is known by, and the way from a row to a record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from medicalgpt.data.records import Kind, Record, Source


@dataclass(frozen=True, slots=True)
class Shape:
    """One way in which data sets spell a sample.

    `expects` tells people what such a row holds; `columns` are the names that `data.columns` may map to it. `matches` says
    whether a row with folded names has this shape; `convert` makes the record, and raises BadRow where it cannot.
    """

    name: str
    kind: Kind
    expects: str
    columns: frozenset[str]
    matches: Callable[[Mapping[str, Any]], bool]
    convert: Callable[[Mapping[str, Any], Source], Record]
