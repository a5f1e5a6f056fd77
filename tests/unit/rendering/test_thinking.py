"""Thoughts apart from the answer, whole or in pieces, with and without calls of tools."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.texts import byte_level, user

from medicalgpt.generate.answer import Answer, AnswerStream, ReasoningDelta, read_answer
from medicalgpt.generate.prompts import prepare
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.thinking import Split, ThinkingStream, opens_thinking, split_thinking
from medicalgpt.rendering.tool_formats import FORMATS, CallDelta, ContentDelta

DOSE = {
    "type": "function",
    "function": {"name": "dose", "parameters": {"properties": {"kg": {"type": "number"}}, "required": ["kg"]}},
}


def streamed(text: str, size: int, opened: bool) -> Split:
    stream = ThinkingStream(opened)
    pieces = [stream.push(text[at : at + size]) for at in range(0, len(text), size)] + [stream.finish()]
    return Split("".join(p.reasoning for p in pieces), "".join(p.answer for p in pieces))


@pytest.mark.parametrize(
    ("text", "opened", "reasoning", "answer"),
    [
        ("<think>\n38 is a fever.\n\nSo yes.\n</think>\n\nYes.\n", False, "38 is a fever.\n\nSo yes.", "Yes.\n"),
        ("38 is a fever.\n</think>\n\nYes.", True, "38 is a fever.", "Yes."),
        ("<think>\n\n</think>\n\nYes.", False, "", "Yes."),
        ("\n <think>a</think>b", False, "a", "b"),
        ("<think>never ends \n", False, "never ends", ""),
        ("never ends", True, "never ends", ""),
        (" Yes, the tag <think> is text here.</think> ", False, "", " Yes, the tag <think> is text here.</think> "),
        ("<think>a</think>b<think>c</think>", False, "a", "b<think>c</think>"),
        ("<thin", False, "", "<thin"),
        ("<think>1 </ 2 </thin", False, "1 </ 2 </thin", ""),
        ("", False, "", ""),
        ("  ", False, "", "  "),
        ("  ", True, "", ""),
    ],
)
def test_thoughts_and_answer(text: str, opened: bool, reasoning: str, answer: str) -> None:
    assert split_thinking(text, opened) == (reasoning, answer)
    for size in range(1, len(text) + 1):
        assert streamed(text, size, opened) == (reasoning, answer)


@given(
    text=st.lists(
        st.sampled_from(["<think>", "</think>", "<", "</", "think>", " ", "\n", "燒", "ab"]), max_size=12
    ).map("".join),
    size=st.integers(1, 9),
    opened=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_pieces_never_change_the_split(text: str, size: int, opened: bool) -> None:
    assert streamed(text, size, opened) == split_thinking(text, opened)


def test_no_part_of_a_tag_is_given_out() -> None:
    stream = ThinkingStream()
    given_out = [stream.push(piece) for piece in ("<", "think", ">38", " <", "/think", ">", "\n", "Yes")]
    assert given_out == [("", "")] * 2 + [("38", "")] + [("", "")] * 4 + [("", "Yes")]


def test_a_prompt_that_opens_the_block_is_known() -> None:
    assert opens_thinking("<|im_start|>assistant\n<think>\n")
    assert not opens_thinking("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    source = (
        "{%- for m in messages -%}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor -%}"
        "{%- if add_generation_prompt -%}<|im_start|>assistant\n<think>\n{% endif -%}"
    )
    thinks, plain = ChatTemplate(byte_level(), source, "x"), ChatTemplate.load(byte_level(), "chatml")
    ids = thinks.encoder.ids(thinks.text((user("Fever?"),), generation_prompt=True))
    assert prepare(ids, thinks, None, 4).thinking
    assert not prepare([user("Fever?")], plain, None, 4).thinking


# -- answers ----------------------------------------------------------------------------------------------------------
CALL = '<tool_call>\n{"name": "dose", "arguments": {"kg": 12}}\n</tool_call>'


def deltas(text: str, size: int, *words: Any) -> tuple[Answer, list]:
    stream, found = AnswerStream(*words), []
    for at in range(0, len(text), size):
        found += stream.push(text[at : at + size])
    found += stream.finish()
    content = "".join(d.text for d in found if isinstance(d, ContentDelta))
    reasoning = "".join(d.text for d in found if isinstance(d, ReasoningDelta)) or None
    return Answer(content, reasoning, stream.calls, stream.problems), found


@pytest.mark.parametrize("size", [1, 4, 11, 500])
def test_an_answer_of_thoughts_text_and_a_call(size: int) -> None:
    text = f"<think>\nA dose: call {CALL} is what I need.\n</think>\n\nI look.\n{CALL}"
    answer, found = deltas(text, size, FORMATS["qwen"], (DOSE,))
    assert answer == read_answer(text, FORMATS["qwen"], (DOSE,))
    assert answer.content == "I look."
    assert answer.reasoning == f"A dose: call {CALL} is what I need."  # a call within thoughts is none
    assert answer.calls == ({"name": "dose", "arguments": {"kg": 12}},)
    assert [(d.index, d.name, d.arguments) for d in found if isinstance(d, CallDelta)] == [(0, "dose", '{"kg": 12}')]
    assert found[-1].id.startswith("call_")


def test_a_malformed_call_stays_in_the_content() -> None:
    text = CALL.replace("12", '"12 kg"')
    answer, _ = deltas(text, 3, FORMATS["qwen"], (DOSE,))
    assert answer == read_answer(text, FORMATS["qwen"], (DOSE,))
    assert (answer.content, answer.calls, answer.problems[0].kind) == (text, (), "wrong_type")


@pytest.mark.parametrize("words", [(), (FORMATS["qwen"], ()), (None, (DOSE,))])
def test_without_tools_or_a_format_nothing_is_looked_for(words: tuple) -> None:
    assert read_answer(CALL, *words) == Answer(CALL)
    assert deltas(CALL, 5, *words)[0] == Answer(CALL)
