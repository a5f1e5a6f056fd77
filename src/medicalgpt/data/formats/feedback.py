"""Feedback: one answer to a prompt with a verdict on it; no second answer to compare with."""

from collections.abc import Mapping
from typing import Any, Final

from medicalgpt.data.formats.answers import Turns, answer_turns, prompt_turns, without_prompt
from medicalgpt.data.formats.columns import peek
from medicalgpt.data.formats.fields import CHOICE, CONVERSATIONS, PROMPTS, REPLIES, VERDICT, BadRow, find, type_name
from medicalgpt.data.formats.shape import Shape
from medicalgpt.data.formats.tools import parse_tools
from medicalgpt.data.formats.turns import check_turns, row_turns, with_system
from medicalgpt.data.records import Feedback, Source

_SPELLED = {"true": True, "false": False, "1": True, "0": False}


def _matches(row: Mapping[str, Any]) -> bool:
    """Whether the row has this shape.

    Many data sets have a `label` that says something else, such as a number or a topic; only true and false count.
    """
    named = "desirable" in row or "kto_tag" in row
    return named or (
        "label" in row
        and isinstance(row["label"], str | bool)
        and str(row["label"]).strip().casefold() in ("true", "false")
    )


def _convert(row: Mapping[str, Any], source: Source) -> Feedback:
    """The row as feedback. Raises BadRow."""
    desirable = _verdict(row)
    prompt, answer = _parts(row)
    check_turns(prompt, end="prompt")
    check_turns((*prompt, *answer))
    return Feedback(prompt, answer, desirable, source, parse_tools(row.get("tools")))


def _verdict(row: Mapping[str, Any]) -> bool:
    name = find(row, VERDICT)
    assert name is not None, "_matches() has seen it"
    value = row[name]
    found = None if not isinstance(value, str | int | float) else _SPELLED.get(str(value).strip().casefold())
    if found is None:
        raise BadRow(f"{name} is {type_name(value)}, not true or false")
    return found


def _parts(row: Mapping[str, Any]) -> tuple[Turns, Turns]:
    """The prompt and the answer, which may be the last turn of a whole conversation."""
    reply = find(row, REPLIES)
    whole = next((name for name in (*CONVERSATIONS, "messages") if peek(row, name) is not None), None)
    if reply is not None and (peek(row, reply) is not None or whole is None):
        turns = prompt_turns(row)
        if turns is None:
            raise BadRow("the prompt is missing (conversations, prompt, messages, question or instruction)")
        prompt = with_system(row, turns)
        return prompt, without_prompt(prompt, answer_turns(row, reply))
    if whole is None:
        raise BadRow("the answer is missing (completion, answer, response or output)")
    turns = with_system(row, row_turns(row, whole))
    if turns[-1].role != "assistant":
        raise BadRow("there is no answer: the last turn is not from the assistant, and no column holds a completion")
    return turns[:-1], turns[-1:]


FEEDBACK: Final = Shape(
    name="feedback",
    kind="feedback",
    expects=(
        "a prompt (conversations, prompt, messages, question or instruction) with an answer (completion, answer, response or "
        "output; without one, the last turn of conversations or messages) and a verdict (desirable, kto_tag or label: true or "
        "false)"
    ),
    columns=frozenset((*PROMPTS, *REPLIES, *VERDICT, "input", "history", "system", "tools", *CHOICE)),
    matches=_matches,
    convert=_convert,
)
