"""The keys of a turn: folded as columns' names are, and those that nothing reads."""

from collections.abc import Iterable, Mapping
from typing import Final

from medicalgpt.data.formats.columns import holds
from medicalgpt.data.formats.fields import WEIGHT, BadRow, fold_name
from medicalgpt.data.formats.spelled import exchange_keys

THOUGHTS: Final = ("reasoning_content", "reasoning", "thinking")
_READ: Final = frozenset(("role", "from", "content", "value", "tool_calls", "tool_call_id", "id", *THOUGHTS, *WEIGHT))
_OF_TOOLS: Final = _READ | {"name"}


def fold_turn(turn: Mapping[str, object]) -> dict[str, object]:
    """A turn under folded names, as a row's are.

    Raises:
        BadRow: two of its keys are one name.
    """
    folded = {fold_name(key): value for key, value in turn.items()}
    if len(folded) < len(turn):
        raise BadRow("a turn has two keys whose names differ only in upper and lower case or spaces")
    return folded


def unread_keys(turns: Iterable[object]) -> set[str]:
    """Folded keys of turns that were parsed, and of exchanges, that hold something and that nothing reads."""
    return {key for turn in turns if isinstance(turn, Mapping) and not _is_plain(turn) for key in _unread(turn)}


def _unread(turn: Mapping[str, object]) -> list[str]:
    folded = fold_turn(turn)
    if "role" in folded or "from" in folded:
        role = folded.get("role", folded.get("from"))
        known = _OF_TOOLS if fold_name(role) == "tool" else _READ
    else:
        known = exchange_keys(folded)
    return [key for key, value in folded.items() if key not in known and holds(value)]


def _is_plain(turn: Mapping[str, object]) -> bool:
    """Whether a turn has no more than a role and words, as nearly all have."""
    return len(turn) == 2 and (("role" in turn and "content" in turn) or ("from" in turn and "value" in turn))
