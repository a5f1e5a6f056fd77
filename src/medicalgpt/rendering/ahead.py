"""Ordinary conversations encoded many at a time, before the first of them is put together.

Row by row, the code and the tables of each step push those of the others out of the processor's caches, which takes a fifth of the
time. So the parts of all are found first, then all are encoded. What is not ordinary, or has a fault, is left to rendering.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import numpy as np

from medicalgpt.data.records import Dialogue, Message
from medicalgpt.rendering.conversation import framed_parts
from medicalgpt.rendering.dialogue import check_content
from medicalgpt.rendering.mosaic import Parts
from medicalgpt.rendering.template import ChatTemplate

_CHARACTERS: Final = 8
"""Of a token, seldom more: a row with more for each that it may have is cut, and not encoded as it is."""


class Encoded(NamedTuple):
    """A conversation that was checked for special tokens: its parts, and the ids of each, int32 of shape [tokens]."""

    parts: Parts
    ids: list[np.ndarray]


def encoded_ahead(template: ChatTemplate, rows: Sequence[Dialogue | None], max_tokens: int) -> list[Encoded | None]:
    """The dialogues that can be encoded at once and are no longer than they may be; None for all others."""
    parts = [None if row is None else _parts(template, row, max_tokens) for row in rows]
    return [None if found is None else _encoded(template, found, max_tokens) for found in parts]


def _parts(template: ChatTemplate, row: Dialogue, max_tokens: int) -> Parts | None:
    messages = row.messages
    if row.tools or messages[-1].role != "assistant" or _characters(messages) > _CHARACTERS * max_tokens:
        return None
    with suppress(Exception):  # of foreign tokenizers, too: rendering comes to it again, and says in which row
        check_content(template, messages)
        return framed_parts(template, messages)
    return None


def _characters(messages: Sequence[Message]) -> int:
    return sum([len(message.content) for message in messages])


def _encoded(template: ChatTemplate, parts: Parts, max_tokens: int) -> Encoded | None:
    with suppress(Exception):
        ids = template.encoder.each(parts.texts)
        return Encoded(parts, ids) if sum(map(len, ids)) <= max_tokens else None
    return None
