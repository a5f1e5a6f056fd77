"""Question/answer pairs under any of their usual names, in English and Chinese."""

from collections.abc import Mapping
from typing import Any, Final

from medicalgpt.data.formats.fields import required_text
from medicalgpt.data.formats.names import ANSWER, QUESTION
from medicalgpt.data.formats.pairs import asked
from medicalgpt.data.records import Dialogue, Kind, Message, Source

NAME: Final = "qa"
KIND: Final[Kind] = "dialogue"
EXPECTS: Final = (
    "a question (question, prompt, query, ask, 问, 问题, 提问 …) and an answer (answer, response, completion, 答 …) "
    "as text, optional input, history and system"
)
COLUMNS: Final = frozenset((*QUESTION, *ANSWER, "input", "history", "system"))


def matches(row: Mapping[str, Any]) -> bool:
    """Whether the row has this shape; a missing answer is a bad row of this shape."""
    return any(name in row for name in QUESTION)


def convert(row: Mapping[str, Any], source: Source) -> Dialogue:
    """The row as a dialogue of one question and one answer, after any history. Raises BadRow."""
    turns = asked(row, required_text(row, QUESTION))
    return Dialogue((*turns, Message("assistant", required_text(row, ANSWER))), source)
