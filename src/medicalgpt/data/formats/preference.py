"""Preferences: a prompt with a `chosen` and a `rejected` answer, each as text, one turn, or a list of turns."""

from collections.abc import Mapping
from itertools import takewhile
from typing import Any, Final

from medicalgpt.data.formats.answers import Turns, answer_turns, prompt_turns, without_prompt
from medicalgpt.data.formats.columns import Columns, peek
from medicalgpt.data.formats.fields import CHOICE, CHOSEN, PROMPTS, REJECTED, BadRow, decoded, find
from medicalgpt.data.formats.shape import Shape
from medicalgpt.data.formats.spelled import is_spelled
from medicalgpt.data.formats.tools import parse_tools
from medicalgpt.data.formats.turns import check_turns, parse_turns, with_system
from medicalgpt.data.records import Preference, Source


def _convert(row: Mapping[str, Any], source: Source) -> Preference:
    """The row as a preference. Raises BadRow."""
    good, bad = find(row, CHOSEN), find(row, REJECTED)
    if good is None and bad is not None and (whole := _whole(row)):
        row, good = whole, "chosen"
    chosen, rejected = answer_turns(row, good or "chosen"), answer_turns(row, bad or "rejected")
    if _same(chosen, rejected):
        raise BadRow("chosen and rejected are the same")
    prompt = prompt_turns(row)
    if prompt is None:
        prompt, chosen, rejected = _parted(chosen, rejected)
        prompt = with_system(row, prompt)
    else:
        prompt = with_system(row, prompt)
        chosen, rejected = without_prompt(prompt, chosen), without_prompt(prompt, rejected)
    check_turns(prompt, end="prompt")
    for name, turns in (("chosen", chosen), ("rejected", rejected)):
        try:
            check_turns((*prompt, *turns))
        except BadRow as bad:
            raise BadRow(f"{name}: {bad.reason}", bad.where) from None
    return Preference(prompt, chosen, rejected, source, parse_tools(row.get("tools")))


def _whole(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """ms-swift's rows: `messages` end with the chosen answer. They are parted here; what is read is noted in the row."""
    turns = peek(row, "messages")
    if isinstance(turns, str) and not is_spelled(turns):
        turns = decoded(turns, "messages")
    if not isinstance(turns, list) or not turns:
        return None
    last = parse_turns(turns, "messages")[-1].role == "assistant"
    if not last:
        return None
    parted = {"messages": turns[:-1], "chosen": turns[-1:]}
    return row.instead(parted) if isinstance(row, Columns) else {**row, **parted}


def _same(chosen: Turns, rejected: Turns) -> bool:
    """Whether two answers differ in nothing but white space around their text."""
    return len(chosen) == len(rejected) and all(
        (a.role, a.content.strip(), a.tool_calls) == (b.role, b.content.strip(), b.tool_calls)
        for a, b in zip(chosen, rejected)
    )


def _parted(chosen: Turns, rejected: Turns) -> tuple[Turns, Turns, Turns]:
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


_ANSWERS: Final = frozenset((*CHOSEN, *REJECTED))

PREFERENCE: Final = Shape(
    name="preference",
    kind="preference",
    expects=(
        "a prompt (conversations, prompt, messages, question or instruction) with chosen and rejected, each text, a turn, "
        "or a list of turns that ends with the assistant; without a prompt, two conversations that begin alike"
    ),
    columns=frozenset((*PROMPTS, *CHOSEN, *REJECTED, "input", "history", "system", "tools", *CHOICE)),
    matches=lambda row: not _ANSWERS.isdisjoint(row),  # one without the other is a bad row of this shape
    convert=_convert,
)
