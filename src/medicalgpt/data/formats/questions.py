"""One question and one answer, each in a column of its own: Alpaca, and question/answer pairs under their usual names."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from medicalgpt.data.formats.choices import choice_of, with_options
from medicalgpt.data.formats.fields import (
    ANSWER,
    CHOICE,
    INPUT,
    QUESTION,
    TARGET,
    BadRow,
    checked_text,
    decoded,
    optional_text,
    required_text,
)
from medicalgpt.data.formats.options import options_of
from medicalgpt.data.formats.shape import Shape
from medicalgpt.data.formats.turns import with_system
from medicalgpt.data.records import Dialogue, Message, Source


def question_turns(row: Mapping[str, Any], question: str, beside: Sequence[str] = INPUT) -> tuple[Message, ...]:
    """The turns up to the question: system, then history (a list of [question, answer]), then question, input and options.

    Raises:
        BadRow: system, input, history or options of another form.
    """
    extra = optional_text(row, beside)
    asked = f"{question}\n{extra}" if extra else question
    options = options_of(row)
    asked = with_options(asked, options) if options else asked
    return with_system(row, [*_history(row.get("history")), Message("user", asked)])


def answer_text(row: Mapping[str, Any], *groups: Sequence[str]) -> str:
    """The answer in the first of `groups` that has one; to a multiple-choice question, the right option.

    Raises:
        BadRow: missing, null, blank, not text, or no option that the row has.
    """
    options = options_of(row)
    choice = choice_of(row, options, *groups) if options else None
    return choice.answer(options) if options and choice else required_text(row, *groups)


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
    return Dialogue((*turns, Message("assistant", answer_text(row, ("output",), ANSWER, TARGET))), source)


def _from_pair(row: Mapping[str, Any], source: Source) -> Dialogue:
    turns = question_turns(row, required_text(row, QUESTION))
    return Dialogue((*turns, Message("assistant", answer_text(row, ANSWER, ("output",), TARGET))), source)


# A missing answer is a bad row of these shapes, so only the question decides.
ALPACA: Final = Shape(
    name="alpaca",
    kind="dialogue",
    expects="instruction and output as text, optional input, system, and history as [question, answer] pairs",
    columns=frozenset(("instruction", "input", "output", "answer", "history", "system", *CHOICE)),
    matches=lambda row: "instruction" in row,
    convert=_from_alpaca,
)
QA: Final = Shape(
    name="qa",
    kind="dialogue",
    expects=(
        "a question (question, prompt, query, ask, 问, 问题, 提问 …) and an answer (answer, response, completion, 答 …) "
        "as text, optional input, options, history and system"
    ),
    columns=frozenset((*QUESTION, *ANSWER, "output", "input", "history", "system", *CHOICE)),
    matches=lambda row: any(name in row for name in QUESTION),
    convert=_from_pair,
)


def _from_input(row: Mapping[str, Any], source: Source) -> Dialogue:
    turns = question_turns(row, required_text(row, ("input",)), ("context",))
    return Dialogue((*turns, Message("assistant", answer_text(row, ("output",), TARGET, ANSWER))), source)


INPUT_OUTPUT: Final = Shape(
    name="input-output",
    kind="dialogue",
    expects="input and output (or target) as text, optional history and system",
    columns=frozenset(("input", "output", "target", *ANSWER, "context", "history", "system", *CHOICE)),
    matches=lambda row: "input" in row and any(name in row for name in ("output", "target", *ANSWER)),
    convert=_from_input,
)
