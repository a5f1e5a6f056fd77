"""Turns of a dialogue: parsed from either spelling, then checked for order."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from medicalgpt.data.formats.columns import Columns, holds, is_media, peek
from medicalgpt.data.formats.fields import (
    SYSTEM,
    WEIGHT,
    BadRow,
    checked_text,
    decoded,
    is_writable,
    optional_text,
    type_name,
)
from medicalgpt.data.formats.spelled import is_spelled, pair_as_turns, spelled_turns
from medicalgpt.data.formats.tools import calls_from_text, calls_from_turn, in_call_order, parse_call
from medicalgpt.data.formats.turn_keys import THOUGHTS, fold_turn, unread_keys
from medicalgpt.data.formats.weights import weight_of
from medicalgpt.data.records import Message, Role

ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatgpt", "function_call"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function", "ipython"), "tool"),
}
ROLES_ALLOWED = "system, user or human, assistant or gpt, function_call, tool or observation"


def row_turns(row: Mapping[str, Any], name: str) -> list[Message]:
    """As `parse_turns`, of a column; keys of turns that nothing reads are noted in the row."""
    value = row[name]
    if isinstance(value, str) and not is_spelled(value):
        value = decoded(value, name)
    turns = parse_turns(value, name)
    if isinstance(row, Columns) and isinstance(value, list):
        row.turn_keys.update(unread_keys(value))
    return turns


def turns_or_turn(row: Mapping[str, object], name: str) -> list[Message]:
    """As `row_turns`, of a column that may be one turn."""
    if not isinstance(peek(row, name), Mapping):
        return row_turns(row, name)
    turn = row[name]
    found = parse_turn(turn)
    if isinstance(row, Columns):
        row.turn_keys.update(unread_keys([turn]))
    return [found]


def _plain_turn(turn: object) -> Message | None:
    """The turn where it is nothing but a known role and words without a fault; None for any other."""
    if type(turn) is not dict or len(turn) != 2:
        return None
    name, text = turn.get("role"), turn.get("content")
    if name is None:
        name, text = turn.get("from"), turn.get("value")
    if not isinstance(name, str) or not isinstance(text, str) or name == "function_call" or not text.strip():
        return None
    role = ROLES.get(name)
    return None if role is None or not is_writable(text) else Message(role, text)


def parse_turns(value: object, label: str) -> list[Message]:
    """Turns from a list of {role, content}, {from, value} or {human, assistant}, or from text with `Human:` and
    `Assistant:` in front of them; a blank system turn counts as none.

    Raises:
        BadRow: not such a list, an unknown role, or a turn without text (only an assistant turn with calls may be so).
    """
    if isinstance(value, str) and is_spelled(value):
        return spelled_turns(value)
    value = decoded(value, label)
    if value is None:
        raise BadRow(f"{label} is null or blank")
    if not isinstance(value, list):
        raise BadRow(f"{label} is {type_name(value)}, not a list of turns")
    if not value:
        raise BadRow(f"{label} has no turns")
    plain = [_plain_turn(item) for item in value]
    if all(plain):
        return [turn for turn in plain if turn is not None]
    messages = []
    for number, item in enumerate(
        in_call_order([fold_turn(item) if isinstance(item, Mapping) else item for item in value]), 1
    ):
        try:
            found = [parse_turn(turn) for turn in pair_as_turns(item)]
        except BadRow as bad:
            raise BadRow(bad.reason, f"{label}, turn {number}") from None
        messages += [m for m in found if m.role != "system" or m.content]
    return messages


def parse_turn(turn: object) -> Message:
    """One turn from {role, content} or {from, value}.

    Raises:
        BadRow: as `parse_turns`.
    """
    if not isinstance(turn, Mapping):
        raise BadRow(f"a turn is {type_name(turn)}, not an object")
    if (plain := _plain_turn(turn)) is not None:
        return plain
    return _full_turn(fold_turn(turn))


def _full_turn(turn: Mapping[str, object]) -> Message:
    """A turn of folded keys, whatever stands in it."""
    spelled = turn["role"] if turn.get("role") is not None else turn.get("from")
    content = turn["content"] if turn.get("content") is not None else turn.get("value")
    role = _role(spelled)
    label = f"the text of a turn (role {role})"
    if any(is_media(key) and turn[key] not in (None, "", [], False) for key in turn):
        raise BadRow("a turn has a picture, sound or film beside its text (images and sound are not read)")
    weight = weight_of(turn, "a turn")
    if str(spelled).strip().casefold() == "function_call":
        return Message("assistant", "", calls_from_text(checked_text(content, label)), weight)
    calls = calls_from_turn(turn) if role == "assistant" else ()
    thoughts = next((turn[key] for key in THOUGHTS if turn.get(key)), None)
    text = content
    if isinstance(content, list):
        text, part_thoughts, part_calls = _joined(content)
        thoughts, calls = part_thoughts or thoughts, (*calls, *part_calls)
    if role != "assistant" and (calls or holds(turn.get("tool_calls"))):
        raise BadRow(f"a turn of role {role} has tool_calls; only the assistant calls tools")
    if thoughts:
        text = _with_thoughts(text, thoughts, role)
    blank = text is None or (isinstance(text, str) and not text.strip())
    if blank and (calls or role == "system"):
        return Message(role, "", calls, weight)
    return Message(role, checked_text(text, label), calls, weight)


def _with_thoughts(text: object, thoughts: object, role: Role) -> object:
    """An answer with its thoughts in front, as templates write them."""
    if role != "assistant":
        raise BadRow(f"a turn of role {role} has thoughts; only the assistant's are read")
    if isinstance(text, str) and text.lstrip().startswith("<think>"):
        raise BadRow("a turn has its thoughts twice: in a key of their own and within its text")
    return f"<think>\n{checked_text(thoughts, 'the thoughts of a turn')}\n</think>\n\n{text or ''}"


def _role(spelled: Any) -> Role:
    if spelled is None:
        raise BadRow(f"a turn has no role; allowed: {ROLES_ALLOWED}")
    role = ROLES.get(spelled.strip().casefold()) if isinstance(spelled, str) else None
    if role is None:
        # A short name is shown, as it is the mistake itself; anything longer could be text in the wrong place.
        short = isinstance(spelled, str) and spelled.isascii() and spelled.isidentifier() and len(spelled) <= 20
        name = f"role '{spelled}'" if short else "role"
        raise BadRow(f"a turn has an unknown {name}; allowed: {ROLES_ALLOWED}")
    return role


def _joined(parts: list[Any]) -> tuple[str, str, tuple[dict[str, Any], ...]]:
    """Text, thoughts and calls of a turn in parts."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        kind = part.get("type", "text") if isinstance(part, Mapping) else None
        value = part.get("text", part.get("value")) if kind is not None else None
        if isinstance(part, Mapping) and any(part.get(key) is not None for key in WEIGHT):
            raise BadRow("a part of a turn has a loss weight; weights are read of whole turns")
        if kind == "text" and isinstance(value, str):
            texts.append(value)
        elif kind in ("reasoning", "thinking") and isinstance(value, str):
            thoughts.append(value)
        elif kind == "tool_call":
            calls += calls_from_text(value) if isinstance(value, str) else [parse_call(value)]
        elif kind in ("text", "reasoning", "thinking"):
            raise BadRow(f"a {kind} part of a turn has no text under 'text' or 'value'")
        else:
            raise BadRow("a turn has a part that is not text (images and sound are not read)")
    return "".join(texts), "".join(thoughts), tuple(calls)


def with_system(row: Mapping[str, Any], messages: Iterable[Message]) -> tuple[Message, ...]:
    """The turns with the row's own `system` text in front.

    Raises:
        BadRow: `system` and a system turn say different things.
    """
    turns, system = tuple(messages), optional_text(row, SYSTEM)
    if not system or (turns and turns[0] == Message("system", system)):
        return turns
    if turns and turns[0].role == "system":
        raise BadRow("two system messages: the column 'system' and a system turn differ")
    return (Message("system", system), *turns)


def check_turns(messages: Sequence[Message], end: Literal["assistant", "prompt"] = "assistant") -> None:
    """Prove the order of turns that records promise; `end` says whether it is training data or a prompt.

    Several tool turns may follow one assistant turn that made as many calls.

    Raises:
        BadRow: naming the first turn out of order.
    """
    previous: Message | None = None
    calls_open = 0
    for number, turn in enumerate(messages, 1):
        if turn.role == "system":
            if number > 1:
                raise BadRow("wrong role order: a system turn that is not the first turn", f"turn {number}")
            continue
        first = previous is None
        if first and turn.role != "user":
            raise BadRow(
                "wrong role order: the first turn after any system turn is not from the user", f"turn {number}"
            )
        more_results = turn.role == "tool" and previous is not None and previous.role == "tool" and calls_open > 0
        if previous and (turn.role == "assistant") == (previous.role == "assistant") and not more_results:
            raise BadRow(f"wrong role order: a {turn.role} turn follows a {previous.role} turn", f"turn {number}")
        calls_open = len(turn.tool_calls) if turn.role == "assistant" else calls_open - (turn.role == "tool")
        previous = turn
    if previous is None:
        raise BadRow("no user turn and no assistant turn")
    if end == "assistant" and previous.role != "assistant":
        none = all(m.role != "assistant" for m in messages)
        raise BadRow("no assistant turn" if none else "wrong role order: the last turn is not from the assistant")
    if end == "prompt" and previous.role == "assistant":
        raise BadRow("wrong role order: the prompt ends with an assistant turn")
