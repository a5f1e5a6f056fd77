"""Cutting to length: the same turns as dropping one exchange after the other, in time that does not grow with what is dropped."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny import tiny_tokenizer

from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.errors import ContextError, RenderError
from medicalgpt.generate.prompts import prepare
from medicalgpt.rendering import rows
from medicalgpt.rendering.fit import first_fitting
from medicalgpt.rendering.rows import render_dialogue
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.template_header import named_templates
from medicalgpt.rendering.template_text import TemplateText

WORDS = [
    "fever",
    "cough",
    "rest",
    "water",
    "高血壓",
    "糖尿病",
    "tablets",
    "doctor\n",
    "call",
    "less",
    "salt",
    ",",
    "sleep",
]


def talk(seed: int, exchanges: int, system: bool) -> tuple[Message, ...]:
    r = random.Random(seed)

    def words(most: int) -> str:
        return " ".join(r.choices(WORDS, k=r.randint(1, most))).strip() or "rest"

    turns = [Message("system", words(4))] if system else []
    for _ in range(exchanges):
        turns += [Message("user", words(12)), Message("assistant", words(20))]
    return tuple(turns)


def one_by_one(template: ChatTemplate, messages: Sequence[Message], limit: int) -> tuple[Message, ...] | None:
    """The way that measures everything again for each exchange that goes."""
    head = tuple(m for m in messages[:1] if m.role == "system")
    turns = list(messages[len(head) :])
    while rows._length(template, (*head, *turns), ()) > limit:
        later = [i for i in range(1, len(turns)) if turns[i].role == "user"]
        if not later:
            return rows._cut_question(template, head, turns, (), limit)
        turns = turns[later[0] :]
    return (*head, *turns)


@given(st.lists(st.booleans(), max_size=60))
def test_the_first_that_fits_is_found_where_shorter_ones_fit(found: list[bool]) -> None:
    fitting = sorted(found)  # none fits before one that does
    asked: list[int] = []

    def fits(i: int) -> bool:
        asked.append(i)
        return fitting[i]

    assert first_fitting(len(fitting), fits) == (fitting.index(True) if True in fitting else None)
    assert len(asked) <= 14


# (seed, limit in tokens): dialogues of 1 to 12 exchanges, of which none, some or all but one must go.
CASES = ((0, 48), (2, 48), (3, 160), (5, 48), (6, 160), (8, 400), (11, 160))
NAMES = [None, *named_templates()]


def loaded(name: str | None) -> ChatTemplate:
    try:
        return ChatTemplate.load(tiny_tokenizer(), name)
    except RenderError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", NAMES)
def test_the_turns_that_stay_are_those_of_dropping_one_by_one(name: str | None) -> None:
    template, compared = loaded(name), 0
    for seed, limit in CASES:
        messages = talk(seed, 1 + seed, system=seed % 2 == 0)
        try:
            slow = one_by_one(template, messages, limit)
            fast = rows.shorten(template, messages, (), limit, keep=1)
        except RenderError:  # the template has no place for one of these
            continue
        assert fast == slow
        compared += 1
    assert compared or name is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_loses_the_exchanges_of_dropping_one_by_one(name: str | None) -> None:
    template = loaded(name)
    for seed, limit in CASES:
        messages = talk(seed, 1 + seed, system=seed % 2 == 0)[:-1]
        try:
            if len(prepare(messages, template, None, 8).ids) <= limit:
                continue
            head = messages[:1] if messages[0].role == "system" else ()
            rest, dropped = messages[len(head) :], 0
            while len(template.prompt_ids((*head, *rest))) > limit and len(rest) > 1:
                rest, dropped = rest[2:], dropped + 2
        except RenderError:  # the template has no place for one of these
            continue
        try:
            ready = prepare(messages, template, limit + 8, 8)
        except ContextError:
            assert len(rest) == 1
            continue
        assert ready.dropped_turns == dropped
        assert ready.ids == template.prompt_ids((*head, *rest))


def test_a_question_that_nobody_answered_does_not_count() -> None:
    template = ChatTemplate.load(tiny_tokenizer())
    turns = (*talk(1, 1, system=False), Message("user", "Water and rest. " * 400))
    found = render_dialogue(Dialogue(turns, Source("a", 1)), template, 256)
    alone = render_dialogue(Dialogue(turns[:2], Source("a", 1)), template, 256)
    assert found.outcome == "kept"
    assert [tree.path(0)[0].tolist() for tree in found.trees] == [tree.path(0)[0].tolist() for tree in alone.trees]


@pytest.mark.parametrize("turns", [30, 330, 1000])
def test_work_grows_with_what_is_kept(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring everything again for each exchange that goes renders the square of the text: 330 turns took minutes."""
    template = ChatTemplate.load(tiny_tokenizer())
    text = ("Drink enough and rest; call a doctor when it lasts longer than three days, or gets worse. " * 2)[:133]
    messages = [Message("user" if i % 2 == 0 else "assistant", text) for i in range(turns)]
    rendered, render = 0, TemplateText.text

    def counted(self: TemplateText, *args: Any, **more: Any) -> str:
        nonlocal rendered
        found = render(self, *args, **more)
        rendered += len(found)
        return found

    monkeypatch.setattr(TemplateText, "text", counted)
    found = render_dialogue(Dialogue(tuple(messages), Source("a", 1)), template, 512)
    assert found.outcome == "truncated"
    training, rendered = rendered, 0
    prepare(messages[:-1], template, 1024, 64)
    given = sum(len(message.content) for message in messages)
    assert training < 2 * given + 80_000
    assert rendered < 80_000  # a prompt of any length: what stays is looked for from its end
