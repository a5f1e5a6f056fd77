"""A row is rendered once: its parts are those that rendering it turn by turn gives."""

from typing import Any

import pytest
from tests.golden_templates import GOLDEN
from tests.texts import FAMILIES, SPECIAL, byte_level
from tests.tiny import CHATML

from medicalgpt.data.records import Message
from medicalgpt.errors import RenderError
from medicalgpt.rendering.conversation import conversation_parts, framed_parts, turn_by_turn
from medicalgpt.rendering.template import ChatTemplate


def template_of(source: str) -> ChatTemplate:
    return ChatTemplate.of_text(byte_level(), source, "own")


def talk(exchanges: int, system: bool = False, opened: bool = False) -> list[Message]:
    """Words with white space around them, which some templates take off and some keep."""
    turns = [Message("system", " Be brief.\n")] if system else []
    for i in range(exchanges):
        turns += [Message("user", f" Question {i}?\n"), Message("assistant", f"\n\nAnswer {i}. ")]
    return [*turns, Message("user", "And now?")] if opened else turns


def counted(template: ChatTemplate, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The turns of every rendering that comes now."""
    seen: list[int] = []
    render = template._apply

    def apply(turns: Any, *more: Any) -> str:
        seen.append(len(turns))
        return render(turns, *more)

    monkeypatch.setattr(template, "_apply", apply)
    return seen


@pytest.mark.parametrize("system", [False, True])
@pytest.mark.parametrize("name", GOLDEN)
def test_the_parts_of_one_rendering_are_those_of_all(name: str, system: bool) -> None:
    template = ChatTemplate.load(byte_level(special=(*SPECIAL, *FAMILIES)), name)
    for exchanges, opened in ((1, False), (2, False), (6, False), (0, True), (1, True), (5, True)):
        messages = talk(exchanges, system, opened)
        try:
            measured = turn_by_turn(template, messages)
        except RenderError:
            assert framed_parts(template, messages) is None
            continue
        found = framed_parts(template, messages)
        assert found in (None, measured)
        assert found == measured or name in ("chatglm", "chatglm2"), "these number their turns"


def test_a_long_conversation_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    template = template_of(CHATML)
    for opened in (False, True):
        assert framed_parts(template, talk(2, opened=opened))
    seen = counted(template, monkeypatch)
    for opened in (False, True):
        messages = talk(200, opened=opened)
        found = conversation_parts(template, messages)
        assert found is not None
        assert conversation_parts(template, messages) == found
        assert "".join(found.texts) == template.text(messages, generation_prompt=opened).removesuffix(
            "\n" * (not opened)
        )
    assert seen == [400, 400, 401, 401]  # of each two, one is of this test


NUMBERED = CHATML.replace(
    "message['role'] +", "message['role'] + (loop.index | string if message['role'] == 'user' else '') +"
)
LAST_ALONE = CHATML.replace("message['content'] +", "(message['content'] if loop.last else message['content'][:9]) +")


@pytest.mark.parametrize("source", [NUMBERED, LAST_ALONE])
def test_what_is_not_the_same_between_all_turns_is_measured_turn_by_turn(source: str) -> None:
    template = template_of("{%- set n = 0 -%}" + source)
    assert framed_parts(template, talk(3)) is None


def test_a_text_that_is_not_made_of_its_words_is_measured_turn_by_turn() -> None:
    """A template that changes certain words writes another text than its frame and the words."""
    template = template_of(CHATML.replace("message['content'] +", "message['content'] | replace('fever', 'heat') +"))
    plain = [Message("user", "A cough?"), Message("assistant", "Rest.")]
    assert framed_parts(template, plain) is not None
    changed = [Message("user", "A fever?"), Message("assistant", "Rest.")]
    assert framed_parts(template, changed) is None
    assert conversation_parts(template, changed) == turn_by_turn(template, changed)


@pytest.mark.parametrize(
    "messages",
    [
        [Message("user", "Q"), Message("assistant", "<think>\nhm\n</think>\n\nA")],
        [Message("user", "Q"), Message("assistant", "", ({"name": "f", "arguments": {}},)), Message("tool", "1")],
        [Message("assistant", "A"), Message("user", "Q")],
        [Message("system", "S")],
        [],
    ],
)
def test_thoughts_tools_and_other_orders_have_no_frame(messages: list[Message]) -> None:
    assert framed_parts(template_of(CHATML), messages) is None
