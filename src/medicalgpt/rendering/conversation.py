"""Conversations to text parts with known owners: what the model is given, and what it is trained to say."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from medicalgpt.data.records import Message, Role, Tools
from medicalgpt.errors import RenderError
from medicalgpt.rendering.dialogue import answer_span
from medicalgpt.rendering.frames import Frame, Frames, Shape
from medicalgpt.rendering.mosaic import Parts, Words
from medicalgpt.rendering.template_text import TemplateText
from medicalgpt.rendering.verbatim import Verbatim

_PLAIN: Final = "transformers.tokenization_utils_base"  # whose tokenizers give a template the turns as they are


def conversation_parts(template: TemplateText, messages: Sequence[Message], tools: Tools = ()) -> Parts | None:
    """Consecutive parts of the rendered conversation; owner is the assistant turn a part answers for, or None.

    Returns None when the template rewrites earlier turns (thinking templates do), so that no single text shows every
    turn as it was when it was answered.
    """
    return framed_parts(template, messages, tools) or turn_by_turn(template, messages, tools)


def framed_parts(template: TemplateText, messages: Sequence[Message], tools: Tools = ()) -> Parts | None:
    """The same with one rendering, however long the conversation is; None where each turn must be looked at by itself."""
    if tools:
        return None
    if template.frames is None:
        tokenizer = template.tokenizer
        plain = getattr(tokenizer.apply_chat_template, "__module__", "") == _PLAIN
        given = (*tokenizer.special_tokens_map, *template.settings)
        _learn(template, Learned({}, Verbatim(_render(template), template.source, given) if plain else None))
    assert template.frames is not None
    return template.frames.parts(messages)


class Learned(NamedTuple):
    """What has been found out about what a template writes around words, to be sent to another process."""

    shapes: dict[Shape, Frame | None]
    verbatim: Verbatim | None


def learned(template: TemplateText) -> Learned | None:
    """None where nothing has been yet."""
    return None if template.frames is None else Learned(template.frames.learned, template.verbatim)


def go_on_from(template: TemplateText, learned: Learned) -> None:
    """Take over what was found out about the same template in another process."""
    if learned.verbatim is not None:
        learned.verbatim.render = _render(template)
    _learn(template, learned)


def _learn(template: TemplateText, learned: Learned) -> None:
    once = learned.verbatim.text if learned.verbatim else _render(template)
    template.verbatim = learned.verbatim
    around = learned.verbatim.around if learned.verbatim else _unknown
    template.frames = Frames(once, lambda messages: turn_by_turn(template, messages), learned.shapes, around)


def _unknown(roles: tuple[Role, ...]) -> None:
    """Nothing is known of what stands around words."""


def _render(template: TemplateText) -> Callable[[Words], str]:
    def render(words: Words) -> str:
        turns = [Message(role, content) for role, content in words]
        return template.text(turns, generation_prompt=words[-1][0] != "assistant")

    return render


def turn_by_turn(template: TemplateText, messages: Sequence[Message], tools: Tools = ()) -> Parts | None:
    """As `conversation_parts`, with every answer's boundaries found by rendering the conversation up to it."""
    ends_open = messages[-1].role != "assistant"
    text = template.text(messages, tools, generation_prompt=ends_open)
    parts: list[str] = []
    owners: list[int | None] = []
    cursor = 0
    for turn, message in enumerate(messages):
        if message.role != "assistant":
            continue
        try:
            full, start, end = answer_span(template, messages, turn, tools)
        except RenderError:
            if not ends_open:
                raise
            return None  # an earlier answer that could not be trained (thoughts, say) may still be answered after
        if text[:end] != full[:end] or start < cursor:
            return None
        parts += [text[cursor:start], text[start:end]]
        owners += [None, turn]
        cursor = end
    if ends_open:
        parts.append(text[cursor:])
        owners.append(None)
    return Parts(parts, owners)


def prompt_parts(template: TemplateText, messages: Sequence[Message], tools: Tools = ()) -> list[str]:
    """Parts of a conversation that ends with a user or tool turn, generation prompt included.

    Raises:
        RenderError: the conversation is empty or ends with an assistant turn.
    """
    if not messages or messages[-1].role == "assistant":
        raise RenderError("a prompt must end with a user or tool turn")
    found = conversation_parts(template, messages, tools)
    return found.texts if found else [template.text(messages, tools, generation_prompt=True)]
