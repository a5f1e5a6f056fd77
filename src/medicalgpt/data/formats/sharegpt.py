"""ShareGPT `conversations`: a list of {from, value}, optional `tools` and `system`."""

from collections.abc import Mapping
from typing import Any, Final

from medicalgpt.data.formats.fields import find
from medicalgpt.data.formats.names import CONVERSATIONS
from medicalgpt.data.formats.tools import parse_tools
from medicalgpt.data.formats.turns import check_turns, parse_turns, with_system
from medicalgpt.data.records import Dialogue, Kind, Source

NAME: Final = "sharegpt"
KIND: Final[Kind] = "dialogue"
EXPECTS: Final = (
    "conversations as a list of {from, value}: one system turn first or none, then human or observation and gpt or "
    "function_call in turn, gpt last; optional tools and system"
)
COLUMNS: Final = frozenset((*CONVERSATIONS, "tools", "system"))


def matches(row: Mapping[str, Any]) -> bool:
    """Whether the row has this shape."""
    return any(name in row for name in CONVERSATIONS)


def convert(row: Mapping[str, Any], source: Source) -> Dialogue:
    """The row as a dialogue. Raises BadRow."""
    name = find(row, CONVERSATIONS) or CONVERSATIONS[0]
    turns = with_system(row, parse_turns(row.get(name), name))
    check_turns(turns)
    return Dialogue(turns, source, parse_tools(row.get("tools")))
