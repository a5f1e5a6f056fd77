"""Alpaca: `instruction`, optional `input`, `output`, optional `history` and `system`."""

from collections.abc import Mapping
from typing import Any, Final

from medicalgpt.data.formats.fields import required_text
from medicalgpt.data.formats.pairs import asked
from medicalgpt.data.records import Dialogue, Kind, Message, Source

NAME: Final = "alpaca"
KIND: Final[Kind] = "dialogue"
EXPECTS: Final = "instruction and output as text, optional input, system, and history as [question, answer] pairs"
COLUMNS: Final = frozenset(("instruction", "input", "output", "history", "system"))


def matches(row: Mapping[str, Any]) -> bool:
    """Whether the row has this shape; a missing output is a bad row of this shape."""
    return "instruction" in row


def convert(row: Mapping[str, Any], source: Source) -> Dialogue:
    """The row as a dialogue. Raises BadRow."""
    turns = asked(row, required_text(row, ("instruction",)))
    return Dialogue((*turns, Message("assistant", required_text(row, ("output",)))), source)
