"""Named templates against the templates that the models were published with, and against llama.cpp's own rendering."""

import ctypes
from importlib.resources import files
from typing import Any

import pytest
from tests.texts import FAMILIES, SPECIAL, byte_level, says, user

from medicalgpt.data.records import Message
from medicalgpt.rendering.template import ChatTemplate

SYSTEM = Message("system", "Be brief.")
TALKS = {
    "a question": (user("Hi"),),
    "an answer": (user("Hi"), says("Hello.")),
    "a system message": (SYSTEM, user("Hi"), says("Hello."), user("Bye")),
    "turns": (user("Hi"), says("Hello."), user("And?"), says("No."), user("發燒怎麼辦？")),
    "finished turns": (SYSTEM, user("Hi"), says("Hello."), user("And?"), says("No.")),
    "white space": (user("  Hi \n"), says("\n\nHello.  "), user("\nBye"), says(" Good. \n")),
}
THOUGHTS = {
    "thoughts": (user("Hi"), says("<think>\nA greeting.\n</think>\n\nHello.")),
    "thoughts, closed up": (user("Hi"), says("<think>A greeting.</think>Hello.")),
    "thoughts in every turn": (
        *(user("Hi"), says("<think>\nA greeting.\n</think>\n\nHello.")),
        *(user("Bye"), says("<think>\nThe end.\n</think>\n\nBye.")),
    ),
    "thoughts in the past": (user("Hi"), says("<think>\nA greeting.\n</think>\n\nHello."), user("Bye")),
    "thoughts opened by the prompt": (user("Hi"), says("A greeting.\n</think>\n\nHello."), user("Bye")),
}
NO_SYSTEM = {name: talk for name, talk in TALKS.items() if talk[0] != SYSTEM}
# ours: (published as, its settings, conversations)
PUBLISHED: dict[str, tuple[str, dict[str, Any], dict[str, tuple[Message, ...]]]] = {
    "cohere": ("cohere", {}, TALKS),
    "gemma": ("gemma3", {}, TALKS),
    "llama3": ("llama3", {}, TALKS),
    "qwen": ("qwen2_5", {}, TALKS),
    "qwen3": ("qwen3", {}, {**TALKS, **THOUGHTS}),
    "qwen3-nothink": ("qwen3", {"enable_thinking": False}, TALKS),
    "qwen3.5": ("qwen3_5_think", {}, {**TALKS, **THOUGHTS}),
    "qwen3.5-nothink": ("qwen3_5_nothink", {}, TALKS),
}
CASES = [pytest.param(ours, talk, id=f"{ours}-{talk}") for ours, (_, _, talks) in PUBLISHED.items() for talk in talks]


def tokenizer() -> Any:
    return byte_level(eos="</s>", bos="<s>", special=(*SPECIAL, *FAMILIES))


def published(name: str, talk: tuple[Message, ...], **settings: Any) -> str:
    source = files("trl").joinpath("chat_templates", f"{name}.jinja").read_text(encoding="utf-8")
    messages = [m.as_dict() for m in talk]
    asks = talk[-1].role == "user"
    text = tokenizer().apply_chat_template(
        messages, chat_template=source, add_generation_prompt=asks, tokenize=False, **settings
    )
    return str(text)


@pytest.mark.parametrize(("ours", "talk"), CASES)
def test_the_text_is_that_of_the_published_template(ours: str, talk: str) -> None:
    name, settings, talks = PUBLISHED[ours]
    template = ChatTemplate.load(tokenizer(), ours)
    # Qwen's, the only published ones here without bos, belong to tokenizers that have none.
    found = template.text(talks[talk], generation_prompt=talks[talk][-1].role == "user")
    assert found.removeprefix("<s>") == published(name, talks[talk], **settings).removeprefix("<s>")


def test_gemma_without_a_system_message_is_gemma_1s_too() -> None:
    template = ChatTemplate.load(tokenizer(), "gemma")
    for talk in NO_SYSTEM.values():
        assert template.text(talk, generation_prompt=talk[-1].role == "user") == published("gemma", talk)


def test_deepseek3_writes_finished_turns_as_published() -> None:
    """The file beside it opens a thought in its generation prompt, which is R1's; the turns are the same."""
    template = ChatTemplate.load(tokenizer(), "deepseek3")
    for name in ("an answer", "finished turns", "white space"):
        text = published("deepseekv3", TALKS[name]).replace("<｜end▁of▁sentence｜>", "</s>")  # its tokenizer's eos
        assert template.text(TALKS[name]) == text


# -- llama.cpp -----------------------------------------------------------------------------------------------------


class _Turn(ctypes.Structure):
    _fields_ = (("role", ctypes.c_char_p), ("content", ctypes.c_char_p))


def llama_cpp(name: str, talk: tuple[Message, ...]) -> str:
    """What llama.cpp's C function writes for one of the formats it knows by name, without bos."""
    module = pytest.importorskip("xllamacpp.xllamacpp")
    render = ctypes.CDLL(module.__file__).llama_chat_apply_template
    render.argtypes = [
        *(ctypes.c_char_p, ctypes.POINTER(_Turn), ctypes.c_size_t, ctypes.c_bool, ctypes.c_char_p, ctypes.c_int32)
    ]
    turns = (_Turn * len(talk))(*[_Turn(m.role.encode(), m.content.encode()) for m in talk])
    out = ctypes.create_string_buffer(4096)
    size = render(name.encode(), turns, len(talk), True, out, len(out))
    assert 0 < size < len(out)
    return out.raw[:size].decode()


ASKING = [name for name, talk in TALKS.items() if talk[-1].role == "user"]
FORMATS = {
    "chatglm3": ("chatglm3", ASKING),
    "chatml": ("chatml", ASKING),
    "cohere": ("command-r", ASKING),
    "deepseek": ("deepseek2", ASKING),
    "deepseek3": ("deepseek3", ["a question", "turns"]),  # llama.cpp sets a system message apart by a blank line
    "deepseekcoder": ("deepseek", ["a system message"]),  # it knows no default
    "gemma": ("gemma", ASKING),
    "glm4": ("chatglm4", ASKING),
    "llama3": ("llama3", ASKING),
    "mistral": ("mistral-v3", ["a question", "turns"]),  # it leaves the system message in the first turn
    "orion": ("orion", ["a question", "turns"]),  # the published template leaves a system message out
}
EOS = {"deepseek": "<｜end▁of▁sentence｜>", "deepseek3": "<｜end▁of▁sentence｜>"}


@pytest.mark.parametrize("ours", FORMATS)
def test_the_text_is_that_of_llama_cpp(ours: str) -> None:
    name, talks = FORMATS[ours]
    template = ChatTemplate.load(tokenizer(), ours)
    for talk in talks:
        text = template.text(TALKS[talk], generation_prompt=True).removeprefix("<s>")
        assert text.replace("</s>", EOS.get(ours, "</s>")) == llama_cpp(name, TALKS[talk])
