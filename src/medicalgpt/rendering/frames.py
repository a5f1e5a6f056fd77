"""What a template writes around the turns of an ordinary conversation, learned once and looked for in every row's text.

To know where an answer begins and ends a conversation must be rendered once up to it and once with it, for every answer: of
a long one, work that grows with the square of its turns. Most templates write the same between any two turns. That is
learned from small conversations, each measured turn by turn, and a row is rendered once: where its text is made of these
pieces and its own words from beginning to end, its boundaries are known. Where not, it is measured turn by turn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from medicalgpt.data.records import Message, Role
from medicalgpt.errors import RenderError
from medicalgpt.rendering.mosaic import Mosaic, Parts, Words
from medicalgpt.rendering.thinking import CLOSE, OPEN

_REMEMBERED: Final = 4  # conversations: a row is measured, and then rendered; a pair has two of them
_LEARNED_FROM: Final = 3  # exchanges
_TRIED: Final = (1, 2, 3, 5)


Render = Callable[[Words], str]
Around = Callable[[tuple[Role, ...]], Sequence[str] | None]
"""What always stands around the words of turns with these roles (`Mosaic.around`), where that is known."""


class Shape(NamedTuple):
    """What tells conversations apart to a template. One exchange is a shape of its own: where a template writes an answer
    in another way once it is followed by more, that is all that has a frame."""

    system: bool
    opened: bool  # it ends with the user
    single: bool


Measure = Callable[[Sequence[Message]], Parts | None]


@dataclass(frozen=True, slots=True)
class Frame:
    """The constant text of one shape of conversation. Of two values the first is for the first exchange."""

    system: str
    users: tuple[str, str]
    prompts: tuple[str, str]
    leads: tuple[str, str]
    footers: tuple[str, str]
    endings: tuple[str, str]

    def cut(self, text: str, words: Words) -> Parts | None:
        """The parts of a rendered conversation; None where it has anything that is neither constant nor its own words."""
        found = Parts([], [])
        start = at = 0  # of the part that is open, and of what is not read yet
        exchange = -1
        before = self.system if words[0][0] == "system" else ""
        for turn, (role, content) in enumerate(words):
            later = int(exchange > 0)
            if role == "assistant":
                if not text.startswith(self.prompts[later], at):
                    return None
                at += len(self.prompts[later])
                found.texts.append(text[start:at])
                found.owners.append(None)
                start, before = at, self.leads[later]
            elif role == "user":
                exchange += 1
                before = self.users[int(exchange > 0)]
            last = turn == len(words) - 1
            after = self._after(role, int(exchange > 0), last)
            end = _end_of(text, at, before, content, after)
            if end is None:
                return None
            at = end
            if role == "assistant":
                at += len(self.footers[int(exchange > 0)])
                found.texts.append(text[start:at])
                found.owners.append(turn)
                start = at
        ending = self.endings[int(exchange > 0)]
        if text[at:] != ending:
            return None
        if words[-1][0] == "user":
            found.texts.append(text[start:])
            found.owners.append(None)
        return found

    def _after(self, role: str, later: int, last: bool) -> str:
        if role == "assistant":
            return self.footers[later]
        if role == "system":
            return self.users[0]
        return self.endings[later] if last else self.prompts[later]


def _end_of(text: str, at: int, before: str, content: str, after: str) -> int | None:
    """Where a turn's words end that stand between two constants, as they are or without white space around them."""
    if not text.startswith(before, at):
        return None
    at += len(before)
    bare = content.strip()
    for written in (content,) if bare == content else (content, bare, content.rstrip(), content.lstrip()):
        if text.startswith(written, at) and text.startswith(after, at + len(written)):
            return at + len(written)
    return None


class Frames:
    """The frames of one template, by shape (`learned`), and the parts of the last conversations."""

    def __init__(self, render: Render, measure: Measure, learned: dict[Shape, Frame | None], around: Around) -> None:
        self.render, self.measure, self.learned, self.around = render, measure, learned, around
        self._mosaics: dict[tuple[Role, ...], Mosaic] = {}
        self._remembered = lru_cache(_REMEMBERED)(self._parts)

    def parts(self, messages: Sequence[Message]) -> Parts | None:
        """Parts of a conversation with one rendering; None where it must be measured turn by turn.

        Raises:
            RenderError: the template refuses it.
        """
        roles = tuple([message.role for message in messages])
        shape = _shape(roles)
        if shape is None or not all(_is_plain(message) for message in messages):
            return None
        if shape not in self.learned:
            self.learned[shape] = _learn(self.render, self.measure, shape)
        if self.learned[shape] is None:
            return None
        words = words_of(messages)
        around = self.around(roles)
        if around is None or not all(content and content == content.strip() for _, content in words):
            return self._remembered(words)
        mosaic = self._mosaics.get(roles)
        if mosaic is not None and mosaic.around is around:
            return mosaic.filled(words)
        found = self._remembered(words)
        mosaic = None if found is None else Mosaic.of(around, words, found)
        if mosaic is not None:
            self._mosaics[roles] = mosaic
        return found

    def _parts(self, words: Words) -> Parts | None:
        shape = _shape(tuple([role for role, _ in words]))
        frame = self.learned[shape] if shape is not None else None
        return frame.cut(self.render(words), words) if frame else None


@lru_cache(1024)
def _shape(roles: tuple[Role, ...]) -> Shape | None:
    """The shape of turns with these roles; None where user and assistant do not speak in turn."""
    system = roles[:1] == ("system",)
    turns = roles[1:] if system else roles
    if not turns or any(role != ("assistant" if number % 2 else "user") for number, role in enumerate(turns)):
        return None
    opened = turns[-1] == "user"
    return Shape(system, opened, len(turns) <= (1 if opened else 2))


def _is_plain(message: Message) -> bool:
    """Whether a turn is without tools and thoughts: templates treat those by what comes later."""
    return not message.tool_calls and OPEN not in message.content and CLOSE not in message.content


def _probe(exchanges: int, shape: Shape) -> list[Message]:
    turns = [Message("system", "Probe instructions.")] if shape.system else []
    for number in range(exchanges):
        turns += [
            Message("user", f"Probe question {number}."),
            Message("assistant", f"Probe answer {number}."),
        ]
    return [*turns, Message("user", f"Probe question {exchanges}.")] if shape.opened else turns


def _learn(render: Render, measure: Measure, shape: Shape) -> Frame | None:
    """The frame of a shape, proven on conversations of several lengths; None where the template has no such frame."""
    least = 0 if shape.opened else 1
    try:
        found = _frame(render, measure, shape, least)
        for exchanges in (least,) if shape.single else (least, *_TRIED):
            probe = _probe(exchanges, shape)
            measured, text = measure(probe), render(words_of(probe))
            if found is None or measured is None or found.cut(text, words_of(probe)) != measured:
                return None
    except RenderError:
        return None
    return found


def _frame(render: Render, measure: Measure, shape: Shape, least: int) -> Frame | None:
    """What stands between the words of a small conversation."""
    probe = _probe(least if shape.single else _LEARNED_FROM, shape)
    measured, text = measure(probe), render(words_of(probe))
    if measured is None:
        return None
    ends = iter(accumulate(map(len, measured.texts)))
    users, prompts, leads, footers = list[str](), list[str](), list[str](), list[str]()
    before, at = "", 0
    for message in probe:
        if message.role == "assistant":
            start = next(ends)
            prompts.append(text[at:start])
            at = start
        begins = text.find(message.content, at)
        if begins < 0:
            return None
        constant, at = text[at:begins], begins + len(message.content)
        if message.role == "system":
            before = constant
        elif message.role == "user":
            users.append(constant)
        else:
            leads.append(constant)
            end = next(ends)
            footers.append(text[at:end])
            at = end
    short = _probe(least, shape)
    first = render(words_of(short)).rpartition(short[-1].content)[2]
    if not shape.opened:
        first = first[len(footers[0]) :]
    around = [_first_and_other(values) for values in (users, prompts, leads, footers)]
    return Frame(before, around[0], around[1], around[2], around[3], (first, text[at:]))


def _first_and_other(values: list[str]) -> tuple[str, str]:
    """What stands there in the first exchange, and in another; that all others are like it, the proof shows."""
    return (values[0], values[min(1, len(values) - 1)]) if values else ("", "")


def words_of(messages: Sequence[Message]) -> Words:
    """Role and content of each turn."""
    return tuple([(m.role, m.content) for m in messages])
