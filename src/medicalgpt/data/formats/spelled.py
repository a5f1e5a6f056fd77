"""Conversations in other spellings: one text with `Human:` and `Assistant:`, and exchanges of {human, assistant}."""

import re
from collections.abc import Mapping
from typing import Any, Final

from medicalgpt.data.formats.columns import is_media
from medicalgpt.data.formats.fields import WEIGHT, BadRow, checked_text
from medicalgpt.data.records import Message

_BEGINS: Final = re.compile(r"\s*(Human|User):")
_MARKS: Final = re.compile(r"\n\n(Human|User|Assistant):")
_ASKS: Final = ("human", "user", "input", "question")
_SAYS: Final = ("assistant", "gpt", "bot", "output", "answer")


def is_spelled(text: str) -> bool:
    """Whether a text is a conversation with marks in front of its turns."""
    return bool(_BEGINS.match(text)) and "\n\nAssistant:" in text


def spelled_turns(text: str) -> list[Message]:
    """The turns of such a text, without the blanks around them; an answer that is only opened is none.

    Raises:
        BadRow: a turn without text.
    """
    pieces = _MARKS.split("\n\n" + text.lstrip())[1:]
    marks, texts = pieces[::2], [piece.strip() for piece in pieces[1::2]]
    if marks[-1] == "Assistant" and not texts[-1]:
        del marks[-1], texts[-1]
    return [
        Message("assistant" if mark == "Assistant" else "user", checked_text(said, f"a turn behind {mark}:"))
        for mark, said in zip(marks, texts)
    ]


def exchange_keys(item: Mapping[str, object]) -> frozenset[str]:
    """The keys of an exchange that are read: who asks, who answers, a system text, and whether it is learned."""
    asked, said = _ends(item)
    return frozenset(key for key in (asked, said, "system", "output_with_loss", *WEIGHT) if key is not None)


def _ends(item: Mapping[str, object]) -> tuple[str | None, str | None]:
    return next((key for key in _ASKS if key in item), None), next((key for key in _SAYS if key in item), None)


def pair_as_turns(item: Any) -> list[Any]:
    """An exchange of {human, assistant} (or {input, output}, with an optional system) as turns; any other item as it is.

    A picture or sound of the exchange stands beside its question, where it refuses the row.
    """
    if not isinstance(item, Mapping) or "role" in item or "from" in item:
        return [item]
    asked, said = _ends(item)
    if asked is None or said is None:
        return [item]
    if "output_with_loss" in item and any(key in item for key in WEIGHT):
        raise BadRow("an exchange has several keys that say whether it is learned")
    marks = {key: item[key] for key in WEIGHT if key in item}
    if "output_with_loss" in item:
        marks = {"loss": item["output_with_loss"]}
    media = {key: value for key, value in item.items() if is_media(key)}
    system = [{"role": "system", "content": item["system"]}] if item.get("system") else []
    answer = {"role": "assistant", "content": item[said], **marks}
    return [*system, {"role": "user", "content": item[asked], **media}, answer]
