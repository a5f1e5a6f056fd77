"""Loss weights that the data itself gives: to turns, and to whole rows.

OpenAI and Mistral mark turns with `weight`, LLaMA-Factory with `loss_weight`, ms-swift with `loss`, axolotl with `train`,
torchtune with `masked`. 0 or false is context without loss.
"""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from medicalgpt.data.formats.columns import Columns, peek
from medicalgpt.data.formats.fields import WEIGHT, BadRow, NotLearned, type_name
from medicalgpt.data.records import Dialogue, Document, Feedback, Message, Record

_FLAGS: Final = ("loss", "loss_mask", "train", "masked")
_NAMES: Final = frozenset(WEIGHT)
_WORDS: Final = {"true": 1.0, "false": 0.0}
_NOTHING: Final = "the row says that nothing of it is to be learned"


def weight_of(marks: Mapping[str, object], what: str) -> float | None:
    """The loss weight among the keys of a turn or the columns of a row, 0 to 1; None where there is none.

    Raises:
        BadRow: no such weight, a key that means both things, or keys that contradict each other.
    """
    if _NAMES.isdisjoint(marks.fields if isinstance(marks, Columns) else marks):
        return None
    found = {name: marks[name] for name in WEIGHT if name in marks and peek(marks, name) not in (None, "", [])}
    weights = {_weight(name, value, what) for name, value in found.items()}
    if len(weights) > 1:
        raise BadRow(f"{what} has contradicting weights in {' and '.join(found)}")
    return weights.pop() if weights else None


def _weight(name: str, value: object, what: str) -> float:
    if name == "mask":
        raise BadRow(
            f"{what} has a mask, which some read as learned and some as not; write loss: true or false instead"
        )
    if name == "train_detail":
        raise BadRow(
            f"{what} has train_detail, which says what is learned of parts of a text; weights are read of whole turns"
        )
    number = math.nan
    if isinstance(value, str):
        word = value.strip().casefold()
        with contextlib.suppress(ValueError):
            number = _WORDS[word] if word in _WORDS else float(word)
    elif isinstance(value, bool | int | float):
        number = float(value) if abs(value) <= 1 else math.nan
    if name in _FLAGS and number not in (0.0, 1.0):
        raise BadRow(
            f"{name} of {what} is {type_name(value)}, not true or false; rename a column that means something else"
        )
    if not 0 <= number <= 1:
        raise BadRow(
            f"{name} of {what} is no loss weight from 0 (context, not learned) to 1; only ratios count, so divide by the "
            "largest, or rename a column that means something else"
        )
    return 1.0 - number if name == "masked" else number


def as_a_whole(weight: float | None, what: str) -> None:
    """For rows that are learned as a whole or not at all.

    Raises:
        NotLearned: the weight is 0. BadRow: it is not 1, either.
    """
    if weight == 0:
        raise NotLearned(_NOTHING)
    if weight not in (None, 1.0):
        raise BadRow(f"{what} has a weight that is not 0 or 1; it is learned as a whole or not at all")


def learned(record: Record, weight: float | None) -> Record:
    """The record with the weight of its row in it.

    Raises:
        BadRow: weights that the record's kind cannot honor. NotLearned: nothing of the row is to be learned.
    """
    if weight == 0:
        raise NotLearned(_NOTHING)
    if isinstance(record, Document):
        return record if weight is None else replace(record, weight=weight)
    if isinstance(record, Dialogue):
        return _dialogue(record, weight)
    as_a_whole(weight, "a pair or a judged answer")
    answers = (record.answer,) if isinstance(record, Feedback) else (record.chosen, record.rejected)
    for answer in answers:
        _check_others(answer)
        if any(turn.weight not in (None, 0.0, 1.0) for turn in answer):
            raise BadRow("a turn of a judged answer has a weight that is not 0 or 1")
        if answer[-1].weight == 0:
            raise BadRow("the last turn of a judged answer has weight 0, so there is nothing to judge")
    return record


def _dialogue(record: Dialogue, weight: float | None) -> Dialogue:
    if weight is None and all(turn.weight is None for turn in record.messages):
        return record
    _check_others(record.messages)
    turns = record.messages
    if weight is not None:
        turns = tuple(_scaled(turn, weight) if turn.role == "assistant" else turn for turn in turns)
    if all(turn.weight == 0 for turn in turns if turn.role == "assistant"):
        raise NotLearned(_NOTHING)
    return replace(record, messages=turns)


def _scaled(turn: Message, weight: float) -> Message:
    return replace(turn, weight=weight if turn.weight is None else weight * turn.weight)


def _check_others(turns: tuple[Message, ...]) -> None:
    """Only the assistant's turns are learned."""
    if any(turn.weight and turn.role != "assistant" for turn in turns):
        raise BadRow("a turn that is not the assistant's has a weight above 0; only the assistant's turns are learned")
