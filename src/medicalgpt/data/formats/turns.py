"""Turns of a dialogue: parsed from either spelling, then checked for order."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from medicalgpt.data.formats.fields import BadRow, checked_text, decoded, optional_text, type_name
from medicalgpt.data.formats.tools import calls_from_text, calls_from_turn, in_call_order
from medicalgpt.data.records import Message, Role

ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatgpt", "function_call"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function", "ipython"), "tool"),
}
ROLES_ALLOWED = "system, user or human, assistant or gpt, function_call, tool or observation"


def parse_turns(value: object, label: str) -> list[Message]:
    """Turns from a list of {role, content} or {from, value}; a blank system turn counts as none.

    Raises:
        BadRow: not such a list, an unknown role, or a turn without text (only an assistant turn with calls may be so).
    """
    value = decoded(value, label)
    if value is None:
        raise BadRow(f"{label} is null or blank")
    if not isinstance(value, list):
        raise BadRow(f"{label} is {type_name(value)}, not a list of turns")
    if not value:
        raise BadRow(f"{label} has no turns")
    messages = []
    for number, turn in enumerate(in_call_order(value), 1):
        try:
            message = parse_turn(turn)
        except BadRow as bad:
            raise BadRow(bad.reason, f"{label}, turn {number}") from None
        if message.role != "system" or message.content:
            messages.append(message)
    return messages


def parse_turn(turn: object) -> Message:
    """One turn from {role, content} or {from, value}.

    Raises:
        BadRow: as `parse_turns`.
    """
    if not isinstance(turn, Mapping):
        raise BadRow(f"a turn is {type_name(turn)}, not an object")
    spelled = turn["role"] if turn.get("role") is not None else turn.get("from")
    content = turn["content"] if turn.get("content") is not None else turn.get("value")
    role = _role(spelled)
    label = f"the text of a turn (role {role})"
    if str(spelled).strip().casefold() == "function_call":
        return Message("assistant", "", calls_from_text(checked_text(content, label)))
    calls = calls_from_turn(turn) if role == "assistant" else ()
    text = _joined(content) if isinstance(content, list) else content
    blank = text is None or (isinstance(text, str) and not text.strip())
    if blank and (calls or role == "system"):
        return Message(role, "", calls)
    return Message(role, checked_text(text, label), calls)


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


def _joined(parts: list[Any]) -> str:
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping) and part.get("type", "text") == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            raise BadRow("a turn has a part that is not text (images and sound are not read)")
    return "".join(texts)


def with_system(row: Mapping[str, Any], messages: Iterable[Message]) -> tuple[Message, ...]:
    """The turns with the row's own `system` text in front.

    Raises:
        BadRow: `system` and a system turn say different things.
    """
    turns, system = tuple(messages), optional_text(row, "system")
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
        where = f"turn {number}"
        if turn.role == "system":
            if number > 1:
                raise BadRow("wrong role order: a system turn that is not the first turn", where)
            continue
        first = previous is None
        if first and turn.role != "user":
            raise BadRow("wrong role order: the first turn after any system turn is not from the user", where)
        more_results = turn.role == "tool" and previous is not None and previous.role == "tool" and calls_open > 0
        if previous and (turn.role == "assistant") == (previous.role == "assistant") and not more_results:
            raise BadRow(f"wrong role order: a {turn.role} turn follows a {previous.role} turn", where)
        calls_open = len(turn.tool_calls) if turn.role == "assistant" else calls_open - (turn.role == "tool")
        previous = turn
    if previous is None:
        raise BadRow("no user turn and no assistant turn")
    if end == "assistant" and previous.role != "assistant":
        none = all(m.role != "assistant" for m in messages)
        raise BadRow("no assistant turn" if none else "wrong role order: the last turn is not from the assistant")
    if end == "prompt" and previous.role == "assistant":
        raise BadRow("wrong role order: the prompt ends with an assistant turn")
