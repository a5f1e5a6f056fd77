"""A record as the row that is written, and the texts in it: whoever reads the corpus gets the same record back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from medicalgpt.data.records import Dialogue, Document, Feedback, Kind, Message, Preference, Record

JsonRow = dict[str, object]
KINDS: Final[tuple[Kind, ...]] = ("document", "dialogue", "preference", "feedback")
_NAMES: Final = frozenset(("role", "type", "name"))
"""Keys whose texts are names out of a fixed list or of a program, not what somebody wrote."""


def row_of(record: Record) -> JsonRow:
    """The record as a JSON object in the shapes of `data.formats`."""
    match record:
        case Document():
            weight: JsonRow = {} if record.weight == 1 else {"weight": record.weight}
            return {"text": record.text} | weight
        case Dialogue():
            row: JsonRow = {"messages": _turns(record.messages)}
        case Preference():
            row = {name: _turns(getattr(record, name)) for name in ("prompt", "chosen", "rejected")}
        case Feedback():
            row = {
                "prompt": _turns(record.prompt),
                "completion": _turns(record.answer),
                "desirable": record.desirable,
            }
    return row | ({"tools": list(record.tools)} if record.tools else {})


def _turns(messages: Sequence[Message]) -> list[JsonRow]:
    return [message.as_dict() | ({} if message.weight is None else {"weight": message.weight}) for message in messages]


def questions_of(record: Record) -> list[str]:
    """What is asked: the user's turns; of a document nothing."""
    match record:
        case Document():
            return []
        case Dialogue():
            turns = record.messages
        case Preference() | Feedback():
            turns = record.prompt
    return [turn.content for turn in turns if turn.role == "user"]


def answers_of(record: Record) -> list[str]:
    """What is answered, each answer by itself; a document's text."""
    match record:
        case Document():
            return [record.text]
        case Dialogue():
            return [turn.content for turn in record.messages if turn.role == "assistant" and turn.content]
        case Preference():
            return [_joined(record.chosen), _joined(record.rejected)]
        case Feedback():
            return [_joined(record.answer)]


def asked_in(row: JsonRow) -> list[str]:
    """What a written row asks, by which the split knows it: a dialogue's first user turn, all of a prompt, a document's text."""
    if "text" in row:
        return [str(row["text"])]
    name = "messages" if "messages" in row else "prompt"
    turns = row[name]
    assert isinstance(turns, list)  # as `row_of` has it
    asked = [str(turn["content"]) for turn in turns if turn["role"] == "user"]
    return asked[:1] if name == "messages" else asked


def _joined(turns: Sequence[Message]) -> str:
    return "\n".join(turn.content for turn in turns)


def texts_in(value: object, name: str = "") -> Iterator[str]:
    """Every text of a row that somebody may have written: turns, arguments of calls, descriptions of tools."""
    if isinstance(value, str):
        if name not in _NAMES:
            yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from texts_in(inner, str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner, name)


def with_texts(value: object, change: Callable[[str], str], name: str = "") -> object:
    """The row with every text of `texts_in` changed; `change` is called in the same order."""
    if isinstance(value, str):
        return value if name in _NAMES else change(value)
    if isinstance(value, Mapping):
        return {key: with_texts(inner, change, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [with_texts(inner, change, name) for inner in value]
    return value
