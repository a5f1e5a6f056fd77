"""OpenAI `messages`: a list of {role, content}, optional `tools` and `system`."""

from collections.abc import Mapping
from typing import Any, Final

from medicalgpt.data.formats.tools import parse_tools
from medicalgpt.data.formats.turns import check_turns, parse_turns, with_system
from medicalgpt.data.records import Dialogue, Kind, Source

NAME: Final = "messages"
KIND: Final[Kind] = "dialogue"
EXPECTS: Final = (
    "messages as a list of {role, content}: one system turn first or none, then user or tool and assistant in turn, "
    "an assistant turn last; optional tools and system"
)
COLUMNS: Final = frozenset(("messages", "tools", "system"))


def matches(row: Mapping[str, Any]) -> bool:
    """Whether the row has this shape."""
    return "messages" in row


def convert(row: Mapping[str, Any], source: Source) -> Dialogue:
    """The row as a dialogue. Raises BadRow."""
    turns = with_system(row, parse_turns(row["messages"], "messages"))
    check_turns(turns)
    return Dialogue(turns, source, parse_tools(row.get("tools")))
