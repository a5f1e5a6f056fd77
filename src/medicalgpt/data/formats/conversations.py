"""A whole conversation in one column: OpenAI `messages` of {role, content}, ShareGPT `conversations` of {from, value}."""

from collections.abc import Mapping
from typing import Any, Final

from medicalgpt.data.formats.fields import CONVERSATIONS, SYSTEM, TOOLS, find, find_in
from medicalgpt.data.formats.shape import Shape
from medicalgpt.data.formats.tools import parse_tools
from medicalgpt.data.formats.turns import check_turns, row_turns, with_system
from medicalgpt.data.records import Dialogue, Source


def _from_messages(row: Mapping[str, Any], source: Source) -> Dialogue:
    return _dialogue(row, "messages", source)


def _from_sharegpt(row: Mapping[str, Any], source: Source) -> Dialogue:
    return _dialogue(row, find(row, CONVERSATIONS) or CONVERSATIONS[0], source)


def _dialogue(row: Mapping[str, Any], name: str, source: Source) -> Dialogue:
    turns = with_system(row, row_turns(row, name))
    check_turns(turns)
    tools = find_in(row, (TOOLS,))
    return Dialogue(turns, source, parse_tools(row[tools]) if tools else ())


MESSAGES: Final = Shape(
    name="messages",
    kind="dialogue",
    expects=(
        "messages as a list of {role, content}: one system turn first or none, then user or tool and assistant in turn, "
        "an assistant turn last; optional tools and system"
    ),
    columns=frozenset(("messages", *TOOLS, *SYSTEM)),
    matches=lambda row: "messages" in row,
    convert=_from_messages,
)
SHAREGPT: Final = Shape(
    name="sharegpt",
    kind="dialogue",
    expects=(
        "conversations as a list of {from, value}: one system turn first or none, then human or observation and gpt or "
        "function_call in turn, gpt last; optional tools and system"
    ),
    columns=frozenset((*CONVERSATIONS, *TOOLS, *SYSTEM)),
    matches=lambda row: any(name in row for name in CONVERSATIONS),
    convert=_from_sharegpt,
)
