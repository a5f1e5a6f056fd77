"""Parts put together from what always stands around words are those that the rendered conversation is cut into."""

from typing import Any

import pytest
from tests.texts import says, user
from tests.tiny import tiny_tokenizer

from medicalgpt.data.records import Message
from medicalgpt.rendering.conversation import conversation_parts, turn_by_turn
from medicalgpt.rendering.frames import Frame
from medicalgpt.rendering.mosaic import Mosaic, Parts, Words
from medicalgpt.rendering.template import ChatTemplate

AROUND = ("<u>", "</u><a>", "</a>\n")
WORDS: Words = (("user", "Fever?"), ("assistant", "Rest."))
CUT = Parts(["<u>Fever?</u><a>", "Rest.</a>"], [None, 1])
SAID = ("Rest.", "a", "</a>", "<a>", "<u></u>", "高血壓。", "\ud800", "Fever?" * 100)


def talk(exchanges: int, system: bool, number: int) -> list[Message]:
    head = [Message("system", f"Be brief, {number}.")] if system else []
    return head + [
        turn
        for i in range(exchanges)
        for turn in (user(SAID[(number + i) % len(SAID)]), says(f"{SAID[(number * 3 + i) % len(SAID)]} {number}"))
    ]


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("system", [False, True])
@pytest.mark.parametrize("exchanges", [1, 2, 4])
def test_parts_are_those_of_each_turn_measured(
    exchanges: int, system: bool, opened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = ChatTemplate.load(tiny_tokenizer())
    talks = [[*talk(exchanges, system, n), *([user(SAID[n % len(SAID)])] if opened else [])] for n in range(20)]
    expected = [turn_by_turn(template, messages) for messages in talks]
    for messages, parts in zip(talks[:8], expected):
        assert conversation_parts(template, messages) == parts
    monkeypatch.setattr(Frame, "cut", lambda *given: pytest.fail("the conversation was cut"))
    monkeypatch.setattr(template, "text", lambda *given: pytest.fail("the conversation was rendered"))
    assert [conversation_parts(template, messages) for messages in talks] == expected


@pytest.mark.parametrize("said", [" Rest.", "Rest.\n", "\u3000Rest.", "<think>x</think>Rest.", "x</think>"])
def test_words_with_edges_or_thoughts_are_looked_at(said: str) -> None:
    template = ChatTemplate.load(tiny_tokenizer())
    for number in range(8):
        conversation_parts(template, talk(1, False, number))
    messages = [user("Fever?"), says(said)]
    assert conversation_parts(template, messages) == turn_by_turn(template, messages)


def test_what_is_learned_from_one_fits_others() -> None:
    mosaic = Mosaic.of(AROUND, WORDS, CUT)
    assert mosaic is not None
    assert mosaic.filled(WORDS) == CUT
    assert mosaic.filled((("user", "</u>"), ("assistant", "a"))) == Parts(["<u></u></u><a>", "a</a>"], [None, 1])


CASES: dict[str, Any] = {
    "other texts": (("<u>", "</u><b>", "</a>\n"), CUT),
    "cut within a word": (AROUND, Parts(["<u>Fev", "er?</u><a>Rest.</a>"], [None, 1])),
    "a word left out": (AROUND, Parts(["<u>Fever?</u><a>"], [None])),
    "the end of a word left out": (AROUND, Parts(["<u>Fever?</u><a>", "Res"], [None, 1])),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_no_mosaic(case: str) -> None:
    around, cut = CASES[case]
    assert Mosaic.of(around, WORDS, cut) is None
