"""Chat templates: their text to the letter, and what is trained of any conversation under any of them."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from tests.golden_templates import GOLDEN
from tests.texts import FAMILIES, SHAPES, SPECIAL, byte_level, dialogue, metaspace, says, user
from tests.tiny import tiny_tokenizer

from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.errors import RenderError
from medicalgpt.rendering import ranks
from medicalgpt.rendering.later import Later
from medicalgpt.rendering.rows import TrainOn, encode_conversation, render_dialogue
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.template_header import named_templates

TALK = (Message("system", "Be brief."), user("Hi"), says("Hello."), user("Bye"))
ALL = (*SPECIAL, *FAMILIES)
TOKENIZERS = {
    "byte": lambda: byte_level(eos="</s>", bos="<s>", special=ALL),
    "byte without bos": lambda: byte_level(eos="</s>", special=ALL),
    "metaspace first": lambda: metaspace("first", special=ALL),
    "metaspace always": lambda: metaspace("always", special=ALL),
}


def talk_for(name: str) -> tuple[Message, ...]:
    return TALK if GOLDEN[name].system else TALK[1:]


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
    assert template.text(talk_for(name), generation_prompt=True) == GOLDEN[name].talk
    assert template.text((user("Hi"), says("Hello."))) == GOLDEN[name].single


@pytest.mark.parametrize("name", GOLDEN)
def test_a_tokenizer_without_bos_gets_none(name: str) -> None:
    template = ChatTemplate.load(TOKENIZERS["byte without bos"](), name)
    assert template.text(talk_for(name), generation_prompt=True) == GOLDEN[name].talk.replace("<s>", "")


@pytest.mark.parametrize("name", sorted(GOLDEN.keys() - {"phoenix", "deepseek3"}))  # their format writes bos itself
def test_the_saved_text_renders_the_same_elsewhere(name: str) -> None:
    """The template is saved with the model; its text alone decides, not who loads it."""
    template = ChatTemplate.load(TOKENIZERS["byte"](), name)
    saved = ChatTemplate(TOKENIZERS["byte without bos"](), template.source, "saved")
    assert saved.text(talk_for(name), generation_prompt=True) == GOLDEN[name].talk
    assert (saved.hash, saved.info, saved.stop_ids) == (template.hash, template.info, template.stop_ids)


def trained_turns(template: ChatTemplate, row: Dialogue, train_on: TrainOn = "assistant") -> list[Any]:
    """(turn, ids, start, end) of each trained answer: in one chain, or in one of its own where earlier turns are rewritten."""
    turns = [i for i, m in enumerate(row.messages) if m.role == "assistant"][-1 if train_on == "last" else 0 :]
    trees = render_dialogue(row, template, 4096, train_on).trees
    paths = [tree.path(0) for tree in trees]
    found = [(ids, *run) for ids, weights in paths for run in runs(weights)]
    assert all(set(weights) == {0.0, 1.0} for _, weights in paths)
    assert len(found) == len(turns)
    assert len(trees) == 1 or len(trees) == len(turns)
    return [(turn, *one) for turn, one in zip(turns, found)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["byte", "metaspace first", "metaspace always"])
@pytest.mark.parametrize("name", GOLDEN)
def test_all_of_the_assistant_and_nothing_of_the_user_is_trained(name: str, kind: str, shape: str) -> None:
    golden, template = GOLDEN[name], ChatTemplate.load(TOKENIZERS[kind](), name)
    decode, messages = template.encoder.decode, SHAPES[shape]
    if messages[0].role == "system" and not golden.system:
        with pytest.raises(RenderError, match=f"'{name}' .* has no place for a system message"):
            render_dialogue(dialogue(shape), template, 4096)
        return
    for turn, ids, start, end in trained_turns(template, dialogue(shape)):
        # The ids before the answer are those that a model is given before it answers.
        assert template.prompt_ids(messages[:turn]) == ids[:start].tolist()
        assert ids[end - 1] == template.stop_id == template.encoder.special[golden.stop]
        text = decode(ids[:end])[len(decode(ids[:start])) :]
        assert text.endswith(golden.stop)
        answer = text.removesuffix(golden.stop).split("</think>")[-1]
        if golden.trims:  # as published, these trim what they are given
            assert answer.strip() == messages[turn].content.strip()
        elif kind == "metaspace always":  # it may write a space of its own behind a special token
            without = (
                one.removeprefix(golden.lead).removesuffix(golden.tail) for one in (answer, answer.removeprefix(" "))
            )
            assert messages[turn].content in without
        else:
            assert answer.removeprefix(golden.lead).removesuffix(golden.tail) == messages[turn].content
        if kind.startswith("byte"):
            assert template.text(messages[: turn + 1]).startswith(decode(ids[:end]))


@pytest.mark.parametrize("name", GOLDEN)
def test_the_other_choices_of_what_is_trained(name: str) -> None:
    template = ChatTemplate.load(TOKENIZERS["byte"](), name)
    row = dialogue("turns")
    everywhere, (last,) = trained_turns(template, row), trained_turns(template, row, "last")
    assert last[1].tolist() == everywhere[-1][1].tolist()
    assert (last[0], *last[2:]) == (everywhere[-1][0], *everywhere[-1][2:])
    for tree in render_dialogue(row, template, 4096, "all").trees:
        weights = tree.path(0)[1]
        assert weights[0] == 0
        assert weights[1:].all()


@pytest.mark.parametrize("name", GOLDEN)
def test_one_chain_per_answer_only_where_earlier_answers_are_rewritten(name: str) -> None:
    template = ChatTemplate.load(TOKENIZERS["byte"](), name)
    shape = "system turns" if GOLDEN[name].system else "turns"
    trees = render_dialogue(dialogue(shape), template, 4096).trees
    assert (len(trees) > 1) == GOLDEN[name].rewrites


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
    with pytest.raises(RenderError, match="'chatlm' is not known; named templates are alpaca, aquila, baichuan"):
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


def test_another_process_gets_the_settings_as_well() -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.chat_template = tokenizer.chat_template + "{{ '!' if shout else '' }}"
    template = ChatTemplate(tokenizer, tokenizer.chat_template, "own").with_settings({"shout": True})
    again = pickle.loads(pickle.dumps(template))
    plain = pickle.loads(pickle.dumps(ChatTemplate.load(tokenizer)))
    assert dict(plain.settings) == {}
    asked = [Message("user", "a")]
    assert (
        again.prompt_ids(asked) == template.prompt_ids(asked) != ChatTemplate.load(tiny_tokenizer()).prompt_ids(asked)
    )


def test_what_was_found_out_goes_along_to_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """It proves nothing again, and does not even make the tokenizer for rows like those before; another one it does."""
    template = ChatTemplate.load(tiny_tokenizer())
    template.encoder.expect(1 << 21)

    def row(number: int) -> Dialogue:
        turns = [turn for i in range(1 + number % 3) for turn in (user(f"Fever, {number}?"), says(f"Day {i}: rest."))]
        return Dialogue(tuple(turns), Source("t", number))

    def rendered(by: ChatTemplate, talk: Dialogue) -> list[Any]:
        return [(s.ids.tolist(), s.weights.tolist()) for s in render_dialogue(talk, by, 512).trees[0].segments]

    here = [rendered(template, row(number)) for number in range(15)]
    sent = pickle.dumps(template)
    made: list[str] = []
    monkeypatch.setattr(
        Later, "_made", property(lambda later: made.append("tokenizer") or pickle.loads(later._pickled))
    )
    monkeypatch.setattr(ranks._Quick, "of", lambda backend: pytest.fail("proven again"))
    again = pickle.loads(sent)
    assert [rendered(again, row(number)) for number in range(15)] == here
    assert made == []
    told = Dialogue((Message("system", "Be brief."), *row(1).messages), Source("t", 1))
    assert rendered(again, told) == rendered(template, told)
    assert set(made) == {"tokenizer"}
