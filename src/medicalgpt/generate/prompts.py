"""From what is asked to the token ids a model is given, shortened when it does not fit into the context."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from medicalgpt.data.records import Dialogue, Message, Tools
from medicalgpt.errors import ContextError, ServeError
from medicalgpt.rendering.dialogue import check_content
from medicalgpt.rendering.fit import first_fitting, rough_length
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.thinking import CLOSE, opens_thinking

_TAIL = 16  # tokens; an opened thinking block is the very end of a prompt


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """Token ids as the model gets them, and how many turns had to go to make them fit.

    `thinking`: the prompt ends within a thinking block, so that the answer begins with thoughts.
    `prefill`: the beginning of the answer that the prompt ends with, in words; it closes a thinking block that was opened.
    """

    ids: list[int]
    dropped_turns: int = 0
    thinking: bool = False
    prefill: str = ""


Turn = Message | Mapping[str, Any]
Prompt = str | Dialogue | Sequence[Turn] | Sequence[int] | EncodedPrompt
"""One user turn as text; turns that end with the user or a tool, as records or as `{"role": …, "content": …}`; such turns as a
record with its tools; token ids; or what was encoded before."""


def prepare(
    prompt: Prompt, template: ChatTemplate, context: int | None, max_new_tokens: int, prefill: str = ""
) -> EncodedPrompt:
    """Encode a prompt as training did, leaving room for the answer; one that is encoded already stays as it is.

    The oldest exchanges go first; the system message and the last question always stay.

    Args:
        prefill: the beginning of the answer, for a conversation; what the model adds is the rest.

    Raises:
        ServeError: an empty prompt; or, as ContextError, a question that alone is too long (with counts).
        RenderError: turns in an order that the template refuses, or text that spells a special token.
    """
    limit = None if context is None else context - max_new_tokens
    if limit is not None and limit < 1:
        raise ContextError(
            f"max_new_tokens is {max_new_tokens}, but the model's context is {context} tokens for prompt and answer "
            f"together; allowed: at most {context - 1 if context else 0}"
        )
    if isinstance(prompt, EncodedPrompt):
        require_room(prompt.ids, context, max_new_tokens)
        return prompt
    if isinstance(prompt, Dialogue):
        return _prepare_turns(prompt.messages, prompt.tools, template, limit, max_new_tokens, prefill)
    if isinstance(prompt, Message | Mapping):
        raise ServeError(
            "a turn alone is no prompt; give a list of turns, and for several prompts a list of such lists"
        )
    if not prompt:
        raise ServeError("the prompt is empty; give at least one user turn or one token")
    if isinstance(prompt, str):
        return _prepare_turns([Message("user", prompt)], (), template, limit, max_new_tokens, prefill)
    if isinstance(prompt[0], Message | Mapping):
        turns = [as_message(turn) for turn in cast(Sequence[Turn], prompt)]
        return _prepare_turns(turns, (), template, limit, max_new_tokens, prefill)
    ids = list(cast(Sequence[int], prompt))
    require_room(ids, context, max_new_tokens)
    return EncodedPrompt(ids, 0, _thinking(template, ids))


def as_message(turn: Turn) -> Message:
    """A turn as a record.

    Raises:
        ServeError: a mapping without a known role and text.
    """
    if isinstance(turn, Message):
        return turn
    role, content = turn.get("role"), turn.get("content")
    if (
        role not in ("system", "user", "assistant", "tool")
        or not isinstance(content, str)
        or set(turn) - {"role", "content"}
    ):
        raise ServeError(
            f"a turn has the keys {', '.join(map(str, turn))}; give a Message, or role (system, user, assistant, tool) and "
            "content as text"
        )
    return Message(role, content)


def require_room(ids: Sequence[int], context: int | None, max_new_tokens: int) -> None:
    """Raises ContextError where token ids and the answer do not fit into the context together."""
    if context is not None and len(ids) > context - max_new_tokens:
        raise _too_long("the prompt", len(ids), context - max_new_tokens, max_new_tokens)


def _prepare_turns(
    turns: Sequence[Message],
    tools: Tools,
    template: ChatTemplate,
    limit: int | None,
    room: int,
    prefill: str,
) -> EncodedPrompt:
    check_content(template, turns, tools)
    head = [turn for turn in turns[:1] if turn.role == "system"]
    rest = list(turns[len(head) :])
    # The oldest questions go, each with all that followed it; the last one stays.
    starts = [0, *(i for i in range(1, len(rest)) if rest[i].role == "user")]
    measured: dict[int, EncodedPrompt] = {}

    def fits(number: int) -> bool:
        kept = [*head, *rest[starts[number] :]]
        if limit is not None and number < len(starts) - 1 and rough_length(template, kept, tools, limit):
            return False
        measured[number] = _encode(kept, tools, template, prefill, len(turns) - len(kept))
        return limit is None or len(measured[number].ids) <= limit

    found = 0 if limit is None and fits(0) else first_fitting(len(starts), fits)
    if found is None:
        assert limit is not None
        tokens = len(measured[len(starts) - 1].ids)
        raise _too_long("the question (with system message and template)", tokens, limit, room)
    return measured[found]


def _encode(
    turns: Sequence[Message], tools: Tools, template: ChatTemplate, prefill: str, dropped: int
) -> EncodedPrompt:
    ids = template.prompt_ids(turns, tools)
    thinking = _thinking(template, ids)
    if prefill:
        # As templates write an answer without thoughts.
        prefill = f"\n{CLOSE}\n\n{prefill}" if thinking else prefill
        ids = template.prompt_ids(turns, tools, prefill)
    return EncodedPrompt(ids, dropped, thinking, prefill)


def _thinking(template: ChatTemplate, ids: Sequence[int]) -> bool:
    return opens_thinking(template.encoder.decode(ids[-_TAIL:]))


def _too_long(what: str, tokens: int, limit: int, room: int) -> ContextError:
    return ContextError(
        f"{what} has {tokens} tokens; the model's context is {limit + room}, of which {room} are kept for the answer "
        f"(max_new_tokens), so at most {limit} fit; shorten the question or the system message, or lower max_new_tokens"
    )
