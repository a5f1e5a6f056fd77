"""Chat templates: their text to the letter, and what is trained of any conversation under any of them."""

from pathlib import Path
from typing import Any

import pytest
from tests.texts import SHAPES, byte_level, dialogue, metaspace, says, user
from tests.tiny import tiny_tokenizer

from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.errors import RenderError
from medicalgpt.render.rows import encode_conversation, render_dialogue
from medicalgpt.render.template import ChatTemplate, named_templates

TALK = (Message("system", "Be brief."), user("Hi"), says("Hello."), user("Bye"))
ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
# With a tokenizer that puts <s> before texts and ends turns with </s>: (the talk with a generation prompt, one question
# with its answer and no system message).
GOLDEN = {
    "alpaca": (
        "<s>Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello.</s>\n\n### Instruction:\nBye\n\n### Response:\n",
        f"<s>{ALPACA}\n\n### Instruction:\nHi\n\n### Response:\nHello.</s>\n\n",
    ),
    "chatml": (
        "<s><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
        "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n",
    ),
    "llama2": (
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. </s><s>[INST] Bye [/INST]",
        "<s>[INST] Hi [/INST] Hello. </s>",
    ),
    "llama3": (
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>",
    ),
    "plain": ("<s>Be brief.\nHi\nHello.</s>\nBye\n", "<s>Hi\nHello.</s>\n"),
    "vicuna": (
        "<s>Be brief. USER: Hi ASSISTANT: Hello.</s> USER: Bye ASSISTANT:",
        f"<s>{VICUNA} USER: Hi ASSISTANT: Hello.</s>",
    ),
}
STOPS = {"chatml": "<|im_end|>", "llama3": "<|eot_id|>"}  # the others write the tokenizer's eos

TOKENIZERS = {
    "byte": lambda: byte_level(eos="</s>", bos="<s>"),
    "byte without bos": lambda: byte_level(eos="</s>"),
    "metaspace first": lambda: metaspace("first"),
    "metaspace always": lambda: metaspace("always"),
}


def runs(weights: Any) -> list[tuple[int, int]]:
    """Start and end of each run of trained tokens."""
    edges = [i for i in range(1, len(weights)) if (weights[i] > 0) != (weights[i - 1] > 0)]
    edges += [len(weights)] if weights[-1] > 0 else []
    return list(zip(edges[::2], edges[1::2]))


def test_every_template_has_a_golden_text() -> None:
    assert named_templates() == sorted(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_text(name: str) -> None:
    template = ChatTemplate.load(TOKENIZERS["byte"](), name)
    talk, single = GOLDEN[name]
    assert template.text(TALK, generation_prompt=True) == talk
    assert template.text((user("Hi"), says("Hello."))) == single


@pytest.mark.parametrize("name", GOLDEN)
def test_a_tokenizer_without_bos_gets_none(name: str) -> None:
    template = ChatTemplate.load(TOKENIZERS["byte without bos"](), name)
    assert template.text(TALK, generation_prompt=True) == GOLDEN[name][0].replace("<s>", "")


@pytest.mark.parametrize("name", GOLDEN)
def test_the_saved_text_renders_the_same_elsewhere(name: str) -> None:
    """The template is saved with the model; its text alone decides, not who loads it."""
    template = ChatTemplate.load(TOKENIZERS["byte"](), name)
    tokenizer = TOKENIZERS["byte without bos"]()
    assert ChatTemplate(tokenizer, template.source, "saved").text(TALK, generation_prompt=True) == GOLDEN[name][0]
    assert ChatTemplate(tokenizer, template.source, "saved").hash == template.hash


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("name", GOLDEN)
def test_all_of_the_assistant_and_nothing_of_the_user_is_trained(name: str, kind: str, shape: str) -> None:
    template = ChatTemplate.load(TOKENIZERS[kind](), name)
    decode, messages = template.encoder.decode, SHAPES[shape]
    (tree,) = render_dialogue(dialogue(shape), template, 4096).trees
    ids, weights = tree.path(0)
    assert set(weights) == {0.0, 1.0}
    turns = [i for i, m in enumerate(messages) if m.role == "assistant"]
    found = runs(weights)
    assert len(found) == len(turns)
    stop = STOPS.get(name, "</s>")
    for turn, (start, end) in zip(turns, found):
        # The ids before the answer are those that a model is given before it answers.
        assert template.prompt_ids(messages[:turn]) == ids[:start].tolist()
        assert ids[end - 1] == template.stop_id == template.encoder.special[stop]
        text = decode(ids[:end])[len(decode(ids[:start])) :]
        assert text.endswith(stop)
        answer = text.removesuffix(stop)
        if name in ("llama2", "llama3"):  # as published, these two trim what they are given
            assert answer.strip() == messages[turn].content.strip()
        else:
            assert answer.removeprefix(" " if name == "vicuna" else "") == messages[turn].content
    if kind.startswith("byte"):
        assert template.text(messages).startswith(decode(ids))


@pytest.mark.parametrize("name", GOLDEN)
def test_the_other_choices_of_what_is_trained(name: str) -> None:
    template = ChatTemplate.load(TOKENIZERS["byte"](), name)
    row = dialogue("turns")
    everywhere, last, all_turns = (
        render_dialogue(row, template, 4096, train_on).trees[0].path(0)[1] for train_on in ("assistant", "last", "all")
    )
    assert runs(last) == runs(everywhere)[-1:]
    assert all_turns[0] == 0
    assert all_turns[1:].all()


# -- tools ---------------------------------------------------------------------------------------------------------

TOOLS_TEMPLATE = (
    "{%- if tools -%}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{%- endif -%}"
    "{%- for m in messages -%}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{%- for call in m.tool_calls or [] -%}<call>{{ call.function | tojson }}</call>{%- endfor -%}<|im_end|>\n{% endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
)
DOSE = {"type": "function", "function": {"name": "dose", "parameters": {}}}
CALL = Message("assistant", "", ({"name": "dose", "arguments": {"drug": "aspirin"}},))
USES_TOOL = (user("How much aspirin?"), CALL, Message("tool", "500 mg"), says("500 mg a day."))


def with_tools(tokenizer: Any = None) -> ChatTemplate:
    template = ChatTemplate(tokenizer or byte_level(), TOOLS_TEMPLATE, "tools")
    template.check()
    return template


def test_tool_calls_are_trained_and_tool_answers_are_not() -> None:
    template = with_tools()
    (tree,) = render_dialogue(Dialogue(USES_TOOL, Source("t", 1), (DOSE,)), template, 4096).trees
    ids, weights = tree.path(0)
    call, answer = (template.encoder.decode(ids[a:b]) for a, b in runs(weights))
    assert call == '<call>{"name": "dose", "arguments": {"drug": "aspirin"}}</call><|im_end|>'
    assert answer == "500 mg a day.<|im_end|>"
    for turn, (start, _) in zip((1, 3), runs(weights)):
        assert template.prompt_ids(USES_TOOL[:turn], (DOSE,)) == ids[:start].tolist()
    assert "parameters" in template.encoder.decode(ids)


@pytest.mark.parametrize(
    "messages",
    [
        (user("?"), Message("assistant", "", ({"name": "dose", "arguments": {"drug": "<|im_end|>"}},))),
        (user("<|im_start|>system"), says("No.")),
        (user("?"), says("Yes.<|im_end|>")),
        (Message("system", "<pad>"), user("?"), says("Yes.")),
    ],
)
def test_text_that_spells_a_special_token_is_refused(messages: tuple[Message, ...]) -> None:
    with pytest.raises(RenderError, match=r"special token '<(\|im_(start|end)\||pad)>'; remove it"):
        encode_conversation(with_tools(), messages, (), {len(messages) - 1})


def test_a_tools_description_that_spells_a_special_token_is_refused() -> None:
    tool = {"type": "function", "function": {"name": "dose", "description": "ends <|im_end|>"}}
    with pytest.raises(RenderError, match="a tool's description contains the special token"):
        encode_conversation(with_tools(), (user("?"), says("Yes.")), (tool,), {1})


# -- loading -------------------------------------------------------------------------------------------------------


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        RenderError, match="'chatlm' is not known; named templates are alpaca, chatml, llama2, llama3, plain"
    ):
        ChatTemplate.load(tiny_tokenizer(), "chatlm")


def test_a_file_of_the_users(tmp_path: Path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text(TOOLS_TEMPLATE, encoding="utf-8")
    template = ChatTemplate.load(byte_level(bos="<s>"), str(path))
    assert (
        template.text((user("Hi"), says("Yes.")))
        == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n"
    )
    with pytest.raises(RenderError, match=r"there is no file .*other\.jinja"):
        ChatTemplate.load(byte_level(), str(tmp_path / "other.jinja"))


def test_the_tokenizers_own_template() -> None:
    template = ChatTemplate.load(tiny_tokenizer())
    assert (template.name, template.source) == ("tokenizer", tiny_tokenizer().chat_template)
    with pytest.raises(RenderError, match=r"no chat template of its own; set data\.template to one of alpaca"):
        ChatTemplate.load(byte_level())


REFUSED = {
    "no generation prompt": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
        "has no generation prompt",
    ),
    "another generation prompt": (
        TOOLS_TEMPLATE.replace("<|im_start|>assistant\n{% endif", "<|im_start|>bot\n{% endif"),
        "generation prompt is not what stands before a finished answer",
    ),
    "no stop token": (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}",
        "without a special token, so no stop token could be trained",
    ),
    "another answer": (
        TOOLS_TEMPLATE.replace("{{ m.content }}", "{{ m.content | upper }}"),
        "changes the assistant's text",
    ),
    "an error": ("{{ raise_exception('no') }}", "cannot render this conversation: no"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_broken_template_is_refused(case: str, tmp_path: Path) -> None:
    source, message = REFUSED[case]
    (tmp_path / "broken.jinja").write_text(source, encoding="utf-8")
    with pytest.raises(RenderError, match=message):
        ChatTemplate.load(byte_level(), str(tmp_path / "broken.jinja"))


def test_a_tokenizer_without_eos_is_refused() -> None:
    with pytest.raises(RenderError, match="the tokenizer has no eos token"):
        ChatTemplate.load(byte_level(eos=None), "chatml")


# -- tokens --------------------------------------------------------------------------------------------------------


def test_stop_and_pad_tokens() -> None:
    template = ChatTemplate.load(byte_level(eos="</s>", bos="<s>"), "chatml")
    ids = template.encoder.special
    assert template.stop_ids == [ids["<|im_end|>"], ids["</s>"], ids["<|endoftext|>"]]
    assert template.pad_id == ids["<pad>"]
    assert template.document_start == ids["<s>"]
    assert template.document_end == ids["<|endoftext|>"]
    assert ChatTemplate.load(byte_level(), "chatml").document_start == ids["<|endoftext|>"]


def test_a_pad_token_that_is_a_stop_token_is_passed_over() -> None:
    tokenizer = byte_level(eos="</s>", special=("<|im_start|>", "<|im_end|>", "</s>"))
    before, tokenizer.pad_token = tokenizer.pad_token, "</s>"
    assert before == "<pad>"  # added by the tokenizer, not among the special tokens of the vocabulary
    template = ChatTemplate.load(tokenizer, "chatml")
    assert template.pad_id not in template.stop_ids


def test_thinking_templates_get_one_chain_per_answer() -> None:
    """A template that takes thoughts out of earlier turns shows no answer as it was given, except the last."""
    source = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}"
        "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    template = ChatTemplate(byte_level(), source, "thinking")
    row = Dialogue(
        (user("Fever?"), says("<think>38</think>Yes."), user("Cough?"), says("<think>x</think>No.")), Source("t", 1)
    )
    first, second = render_dialogue(row, template, 4096).trees
    for tree, turn, answer in (
        (first, 1, "<think>38</think>Yes.<|im_end|>"),
        (second, 3, "<think>x</think>No.<|im_end|>"),
    ):
        ids, weights = tree.path(0)
        ((start, end),) = runs(weights)
        assert template.encoder.decode(ids[start:end]) == answer
        assert template.prompt_ids(row.messages[:turn]) == ids[:start].tolist()
    assert "<think>38" not in template.encoder.decode(second.path(0)[0])
