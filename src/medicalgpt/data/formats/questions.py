"""One question and one answer, each in a column of its own: Alpaca, and question/answer pairs under their usual names."""

from collections.abc import Mapping
from typing import Any, Final

from medicalgpt.data.formats.fields import BadRow, checked_text, decoded, optional_text, required_text
from medicalgpt.data.formats.names import ANSWER, QUESTION
from medicalgpt.data.formats.shape import Shape
from medicalgpt.data.formats.turns import with_system
from medicalgpt.data.records import Dialogue, Message, Source


def question_turns(row: Mapping[str, Any], question: str) -> tuple[Message, ...]:
    """The turns up to the question: system, then history (a list of [question, answer]), then question and input.

    Raises:
        BadRow: system, input or history of another form.
    """
    extra = optional_text(row, "input")
    turns = [*_history(row.get("history")), Message("user", f"{question}\n{extra}" if extra else question)]
    return with_system(row, turns)


def _history(value: object) -> list[Message]:
    value = decoded(value, "history")
    if value is None:
        return []
    turns = []
    if not isinstance(value, list) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in value):
        raise BadRow("history is not a list of [question, answer] pairs")
    for question, answer in value:
        turns.append(Message("user", checked_text(question, "a question in history")))
        turns.append(Message("assistant", checked_text(answer, "an answer in history")))
    return turns


def _from_alpaca(row: Mapping[str, Any], source: Source) -> Dialogue:
    turns = question_turns(row, required_text(row, ("instruction",)))
    return Dialogue((*turns, Message("assistant", required_text(row, ("output",)))), source)


def _from_pair(row: Mapping[str, Any], source: Source) -> Dialogue:
    turns = question_turns(row, required_text(row, QUESTION))
    return Dialogue((*turns, Message("assistant", required_text(row, ANSWER))), source)


# A missing answer is a bad row of these shapes, so only the question decides.
ALPACA: Final = Shape(
    name="alpaca",
    kind="dialogue",
    expects="instruction and output as text, optional input, system, and history as [question, answer] pairs",
    columns=frozenset(("instruction", "input", "output", "history", "system")),
    matches=lambda row: "instruction" in row,
    convert=_from_alpaca,
)
QA: Final = Shape(
    name="qa",
    kind="dialogue",
    expects=(
        "a question (question, prompt, query, ask, 问, 问题, 提问 …) and an answer (answer, response, completion, 答 …) "
        "as text, optional input, history and system"
    ),
    columns=frozenset((*QUESTION, *ANSWER, "input", "history", "system")),
    matches=lambda row: any(name in row for name in QUESTION),
    convert=_from_pair,
)
