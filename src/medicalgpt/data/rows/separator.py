"""What stands between the cells of a table: as the file says itself, as its columns' names show, or as its rows agree.

Spreadsheet programs write semicolons where the comma is a decimal point (most of Europe), tabs in "Unicode text", and under Excel a
first line `sep=;` says it.
"""

import csv
import re
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Final, NamedTuple

from medicalgpt.data.formats.fields import KNOWN_NAMES, fold_name

_SEPARATORS: Final = (",", ";", "\t", "|")
_SAID: Final = re.compile(r'"?sep=(.)"?[ \t]*(?:\r\n|\r|\n|$)', re.IGNORECASE)
_RECORDS: Final = 20  # that must agree


class Separator(NamedTuple):
    """The character, and the line that says it, which is no record ("" for none)."""

    character: str
    line: str = ""


def separator_of(head: str, columns: Mapping[str, str], usual: str) -> Separator:
    """The separator of a file that begins with `head`.

    Args:
        columns: as `open_rows`; names in them are looked for in the first record.
        usual: what the file's name says: a tab is not doubted, a comma is.
    """
    if said := _SAID.match(head):
        return Separator(said[1], said[0])
    if usual != ",":
        return Separator(usual)
    wanted = {fold_name(column) for column in columns.values() if not column.strip().isdecimal()}
    tables = {character: _records(head, character) for character in _SEPARATORS}
    named = {character: _known(records, wanted) for character, records in tables.items()}
    most = max(named.values())
    if most:
        return Separator(next(character for character in _SEPARATORS if named[character] == most))
    agreed = (character for character in _SEPARATORS if _agree(tables[character]))
    return Separator(next(agreed, usual))


def _records(head: str, character: str) -> list[list[str]]:
    """The first records; not the one that the head may cut off."""
    lines = head.splitlines(keepends=True)
    found: list[list[str]] = []
    try:
        for cells in islice(csv.reader(lines[:-1] or lines, delimiter=character), _RECORDS):
            if cells:
                found.append(cells)
    except csv.Error:
        pass
    return found


def _known(records: list[list[str]], wanted: Collection[str]) -> int:
    first = records[0] if records else []
    return sum(fold_name(cell) in KNOWN_NAMES or fold_name(cell) in wanted for cell in first)


def _agree(records: list[list[str]]) -> bool:
    return len({len(cells) for cells in records}) == 1 and len(records[0]) > 1
