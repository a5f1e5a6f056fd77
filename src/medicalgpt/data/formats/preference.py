"""Preferences: a prompt with a `chosen` and a `rejected` answer, each as text, one turn, or a list of turns."""

from collections.abc import Mapping
from itertools import takewhile
from typing import Any, Final

from medicalgpt.data.formats.fields import BadRow, checked_text, required_text, type_name
from medicalgpt.data.formats.names import CONVERSATIONS, PROMPTS, QUESTION
from medicalgpt.data.formats.pairs import asked
from medicalgpt.data.formats.tools import parse_tools
from medicalgpt.data.formats.turns import check_turns, parse_turn, parse_turns, with_system
from medicalgpt.data.records import Kind, Message, Preference, Source

NAME: Final = "preference"
KIND: Final[Kind] = "preference"
EXPECTS: Final = (
    "a prompt (conversations, prompt, messages, question or instruction) with chosen and rejected, each text, a turn, "
    "or a list of turns that ends with the assistant; without a prompt, two conversations that begin alike"
)
COLUMNS: Final = frozenset((*PROMPTS, "chosen", "rejected", "input", "history", "system", "tools"))

_Turns = tuple[Message, ...]


def matches(row: Mapping[str, Any]) -> bool:
    """Whether the row has this shape; one answer without the other is a bad row of this shape."""
    return "chosen" in row or "rejected" in row


def convert(row: Mapping[str, Any], source: Source) -> Preference:
    """The row as a preference. Raises BadRow."""
    chosen, rejected = _answer(row, "chosen"), _answer(row, "rejected")
    if _same(chosen, rejected):
        raise BadRow("chosen and rejected are the same")
    prompt = _prompt(row)
    if prompt is None:
        prompt, chosen, rejected = _parted(chosen, rejected)
        prompt = with_system(row, prompt)
    else:
        prompt = with_system(row, prompt)
        chosen, rejected = _without(prompt, chosen), _without(prompt, rejected)
    check_turns(prompt, end="prompt")
    for name, turns in (("chosen", chosen), ("rejected", rejected)):
        try:
            check_turns((*prompt, *turns))
        except BadRow as bad:
            raise BadRow(f"{name}: {bad.reason}", bad.where) from None
    return Preference(prompt, chosen, rejected, source, parse_tools(row.get("tools")))


def _prompt(row: Mapping[str, Any]) -> _Turns | None:
    """The turns before the answers, None when the row has no prompt of its own."""
    order = (*CONVERSATIONS, "prompt", "messages", *QUESTION, "instruction")
    name = next((n for n in order if row.get(n) is not None), None)
    if name is None:
        present = next((n for n in order if n in row), None)
        if present and not isinstance(row.get("chosen"), list):
            raise BadRow(f"{present} is null")
        return None
    value = row[name]
    if isinstance(value, Mapping):
        return (parse_turn(value),)
    if isinstance(value, list) or name in (*CONVERSATIONS, "messages"):
        return tuple(parse_turns(value, name))
    return asked(row, required_text(row, (name,)))


def _answer(row: Mapping[str, Any], name: str) -> _Turns:
    if name not in row:
        raise BadRow(f"{name} is missing")
    value = row[name]
    if isinstance(value, Mapping):
        return (parse_turn(value),)
    if isinstance(value, list):
        return tuple(parse_turns(value, name))
    if value is not None and not isinstance(value, str):
        raise BadRow(f"{name} is {type_name(value)}, not text, a turn or a list of turns")
    return (Message("assistant", checked_text(value, name)),)


def _same(chosen: _Turns, rejected: _Turns) -> bool:
    """White space around the words makes no preference."""
    return len(chosen) == len(rejected) and all(
        (a.role, a.content.strip(), a.tool_calls) == (b.role, b.content.strip(), b.tool_calls)
        for a, b in zip(chosen, rejected)
    )


def _parted(chosen: _Turns, rejected: _Turns) -> tuple[_Turns, _Turns, _Turns]:
    """Two whole conversations as their shared beginning and what follows in each."""
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(chosen, rejected)))
    if len(chosen) == len(rejected) == 1:
        raise BadRow("the prompt is missing (conversations, prompt, messages, question or instruction)")
    if shared == 0:
        raise BadRow("there is no prompt, and chosen and rejected do not begin with the same turns")
    parts = chosen[shared:], rejected[shared:]
    if not all(part and part[0].role == "assistant" for part in parts):
        raise BadRow("chosen and rejected do not part at an assistant turn")
    return chosen[:shared], *parts


def _without(prompt: _Turns, answer: _Turns) -> _Turns:
    """Some data sets repeat the prompt (with or without its system turn) in front of both answers."""
    for start in (prompt, tuple(m for m in prompt if m.role != "system")):
        if len(answer) > len(start) > 0 and answer[: len(start)] == start:
            return answer[len(start) :]
    return answer
