"""Turns of nothing but a role and words are read by a shorter way, to the same end."""

from typing import Any

import pytest

from medicalgpt.data.formats import BadRow, turns
from medicalgpt.data.formats.turns import parse_turns

ROLES = (
    "user",
    "human",
    "assistant",
    "gpt",
    "system",
    "tool",
    "function_call",
    " User",
    "USER",
    "doctor",
    "",
    None,
    3,
    ["user"],
)
WORDS = (
    "Rest.",
    " a ",
    "",
    "  ",
    None,
    4,
    [],
    ["Rest."],
    [{"type": "text", "text": "Rest."}],
    "\ud800",
    "\ud800 高",
    '{"name": "f"}',
)


def parsed(turn: dict[str, Any]) -> object:
    try:
        return parse_turns([turn], "messages")
    except BadRow as bad:
        return (bad.reason, bad.where)


@pytest.mark.parametrize(
    "names", [("role", "content"), ("content", "role"), ("from", "value"), ("value", "from"), ("role", "value")]
)
def test_the_shorter_way_ends_where_the_longer_does(names: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    first_is_role = names[0] in ("role", "from")
    cases = [dict(zip(names, (role, said) if first_is_role else (said, role))) for role in ROLES for said in WORDS]
    shorter = [parsed(turn) for turn in cases]
    monkeypatch.setattr(turns, "_plain_turn", lambda turn: None)
    assert shorter == [parsed(turn) for turn in cases]
    assert any(isinstance(found, list) and found for found in shorter)
