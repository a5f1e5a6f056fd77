"""Prompt and completion as turns, in which TRL keeps conversations: `{"prompt": [{role, content}, …], "completion": [{…}]}`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from medicalgpt.data.formats.answers import answer_turns, prompt_turns, without_prompt
from medicalgpt.data.formats.columns import peek
from medicalgpt.data.formats.fields import QUESTION, REPLIES, SYSTEM, TOOLS, BadRow, find, find_in
from medicalgpt.data.formats.shape import Shape
from medicalgpt.data.formats.tools import parse_tools
from medicalgpt.data.formats.turns import check_turns, with_system
from medicalgpt.data.records import Dialogue, Source


def _matches(row: Mapping[str, Any]) -> bool:
    names = [name for name in REPLIES if peek(row, name) is not None]
    return bool(names) and any(is_turns(peek(row, name)) for name in (*QUESTION, *names))


def is_turns(value: object) -> bool:
    """Whether a value is a turn or a list of turns."""
    turns = value if isinstance(value, list) else [value]
    return bool(turns) and all(isinstance(turn, Mapping) and ("role" in turn or "from" in turn) for turn in turns)


def _convert(row: Mapping[str, Any], source: Source) -> Dialogue:
    """The row as a dialogue of which the completion alone is learned, as TRL does. Raises BadRow."""
    turns, name = prompt_turns(row), find(row, REPLIES)
    if turns is None or name is None:
        raise BadRow("the prompt is missing (prompt or question)")
    prompt = with_system(row, turns)
    answer = without_prompt(prompt, answer_turns(row, name))
    given = tuple(replace(turn, weight=0.0) if turn.role == "assistant" else turn for turn in prompt)
    check_turns(prompt, end="prompt")
    check_turns((*given, *answer))
    return Dialogue((*given, *answer), source, parse_tools(row.get(find_in(row, (TOOLS,)) or "tools")))


COMPLETION: Final = Shape(
    name="prompt-completion",
    kind="dialogue",
    expects=(
        "a prompt (prompt or question) and a completion (completion, answer, response or output), one of them or both as a list "
        "of {role, content} turns; optional tools and system"
    ),
    columns=frozenset((*QUESTION, *REPLIES, *TOOLS, *SYSTEM)),
    matches=_matches,
    convert=_convert,
)
