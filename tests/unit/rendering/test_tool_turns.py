"""Tools in a conversation: which templates write them, what the others are given, and what is trained of it."""

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.texts import FAMILIES, SPECIAL, byte_level, says, user

from medicalgpt.data.records import Dialogue, Message, Preference, Source
from medicalgpt.errors import RenderError
from medicalgpt.rendering.rows import render_dialogue, render_preference
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.template_header import named_info, named_templates
from medicalgpt.rendering.tool_formats import FORMATS

DOSE = {
    "type": "function",
    "function": {
        "name": "dose",
        "description": "D",
        "parameters": {"type": "object", "properties": {"kg": {"type": "number"}}},
    },
}
TWO = ({"name": "dose", "arguments": {"kg": 9, "note": '發燒 "39"\n</tool_call>'}}, {"name": "dose", "arguments": {}})
TALK = (
    Message("system", "Be brief."),
    user("How much?"),
    Message("assistant", "I look.", TWO),
    Message("tool", "90 mg"),
    Message("tool", '{"error": "no weight"}'),
    says("90 mg."),
    user("Again?"),
    Message("assistant", "", TWO[:1]),
    Message("tool", "90 mg"),
    says("Yes, 90 mg."),
)
ROW = Dialogue(TALK, Source("t", 1), (DOSE,))

# Chat templates as models for tools bring them, cut down to what matters here.
HEAD = "{%- macro head(role) -%}<|im_start|>{{ role }}\n{%- endmacro -%}"
NATIVE = {
    "qwen": (
        "{%- if tools -%}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif -%}"
        "{%- for m in messages -%}{%- if m.role != 'system' -%}<|im_start|>{{ m.role }}\n{{ m.content }}"
        "{%- for call in m.tool_calls or [] -%}\n<tool_call>\n{{ call.function | tojson }}\n</tool_call>{%- endfor -%}"
        "<|im_end|>\n{% endif -%}{%- endfor -%}{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
    ),
    "glm4": (
        "{%- if tools -%}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif -%}"
        "{%- for m in messages -%}{%- if m.role != 'system' -%}<|im_start|>{{ m.role }}\n{{ m.content }}"
        "{%- for call in m.tool_calls or [] -%}{{ '\n' if m.content or not loop.first else '' }}{{ call.function.name }}\n"
        "{{ call.function.arguments | tojson }}{%- endfor -%}"
        "<|im_end|>\n{% endif -%}{%- endfor -%}{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
    ),
    "mistral": (
        "{%- if tools -%}[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]{%- endif -%}"
        "{%- for m in messages -%}{%- if m.role != 'system' -%}<|im_start|>{{ m.role }}\n{{ m.content }}"
        "{%- if m.tool_calls -%}[TOOL_CALLS] [{%- for call in m.tool_calls -%}"
        "{%- if call.id is not defined or call.id | length != 9 -%}{{ raise_exception('nine characters') }}{%- endif -%}"
        "{{- (call.function | tojson)[:-1] + ', \"id\": \"' + call.id + '\"}' }}{{- ', ' if not loop.last -}}"
        "{%- endfor -%}]{%- endif -%}{{ ' answers ' + m.tool_call_id + ' ' + m.name if m.role == 'tool' else '' }}"
        "<|im_end|>\n{% endif -%}{%- endfor -%}{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
    ),
}


def tokenizer() -> Any:
    """One that every named template suits."""
    return byte_level(eos="</s>", bos="<s>", special=(*SPECIAL, *FAMILIES))


def load(name: str, tool_format: str | None = None) -> ChatTemplate:
    return ChatTemplate.load(tokenizer(), name, tool_format)


def talk(name: str) -> tuple[Message, ...]:
    """The conversation, without its system message where a template has no place for one."""
    return TALK[1:] if named_info(name).system == "none" else TALK


def native(name: str, text: str | None = None) -> ChatTemplate:
    template = ChatTemplate(byte_level(), text or NATIVE[name], "own")
    template.check()
    return template


def trained(template: ChatTemplate, row: Dialogue = ROW) -> list[str]:
    """The texts that are trained, a run of tokens each."""
    texts = []
    for tree in render_dialogue(row, template, 8192).trees:
        ids, weights = tree.path(0)
        runs = itertools.groupby(zip(ids.tolist(), weights.tolist()), key=lambda pair: pair[1] > 0)
        texts += [template.encoder.decode([i for i, _ in run]) for learned, run in runs if learned]
    return texts


@pytest.mark.parametrize("tool_format", FORMATS)
@pytest.mark.parametrize("name", named_templates())
def test_calls_are_trained_and_results_and_tools_are_not(name: str, tool_format: str) -> None:
    template = load(name, tool_format)
    texts = trained(template, replace(ROW, messages=talk(name)))
    stop = template.encoder.decode([template.stop_id])
    assert len(texts) == 4
    assert all(text.endswith(stop) for text in texts)
    for text, turn in zip(texts, (m for m in TALK if m.role == "assistant")):
        answer = text.removesuffix(stop).rpartition("</think>")[2]
        parsed = FORMATS[tool_format].parse(answer, (DOSE,))
        assert parsed.calls == turn.tool_calls
        assert parsed.content.strip() == turn.content
        assert "no weight" not in text
    whole = template.text(talk(name), (DOSE,))
    assert all(text in whole for text in ("no weight", '"kg": 9'))
    assert ("Be brief." in whole) == (talk(name) == TALK)


@pytest.mark.parametrize("tool_format", FORMATS)
@pytest.mark.parametrize("name", named_templates())
def test_the_model_is_asked_with_what_it_was_trained_on(name: str, tool_format: str) -> None:
    template = load(name, tool_format)
    trees = render_dialogue(replace(ROW, messages=talk(name)), template, 8192).trees
    ids, weights = trees[-1].path(0)
    start = max(i for i in range(1, len(ids)) if weights[i] > 0 and weights[i - 1] == 0)
    assert template.prompt_ids(talk(name)[:-1], (DOSE,)) == ids[:start].tolist()


@pytest.mark.parametrize("name", named_templates())
def test_the_format_of_training_is_found_again_in_the_saved_text(name: str) -> None:
    for tool_format in FORMATS:
        saved = load(name, tool_format)
        again = ChatTemplate(tokenizer(), saved.source, "saved")
        assert again.tool_use == saved.tool_use
        assert again.text(talk(name), (DOSE,)) == saved.text(talk(name), (DOSE,))
        assert saved.hash != load(name).hash
        own = tokenizer()
        own.chat_template = saved.source
        assert ChatTemplate.load(own, None, "react").tool_use.format is FORMATS["react"]  # another one replaces it


def test_a_template_that_names_no_format_gets_its_familys() -> None:
    chosen = {name: load(name).tool_use for name in ("chatml", "llama3", "vicuna", "plain")}
    assert {n: use.format.name for n, use in chosen.items() if use.format} == {
        "chatml": "qwen",
        "llama3": "llama3",
        "vicuna": "react",
        "plain": "react",
    }
    assert chosen["llama3"].result_role == "ipython"
    assert not any(use.native for use in chosen.values())


def test_a_pair_of_a_right_and_a_wrong_call_shares_its_prompt() -> None:
    template = load("vicuna")
    wrong = Message("assistant", "", ({"name": "dose", "arguments": {"kg": 90}},))
    row = Preference(TALK[:2], (TALK[7],), (wrong,), Source("t", 1), (DOSE,))
    (tree,) = render_preference(row, template, 8192).trees
    prompt, *answers = tree.segments
    assert prompt.ids.tolist() == template.prompt_ids(TALK[:2], (DOSE,))
    texts = [template.encoder.decode(answer.ids.tolist()).removesuffix("</s>") for answer in answers]
    assert [FORMATS["react"].parse(text).calls for text in texts] == [TALK[7].tool_calls, wrong.tool_calls]


def test_several_results_stand_in_one_turn_of_the_user() -> None:
    text = load("chatml").text(TALK[:5], (DOSE,))
    assert text.count("<|im_start|>user") == 2
    one, two = "<tool_response>\n90 mg\n</tool_response>", '<tool_response>\n{"error": "no weight"}\n</tool_response>'
    assert f"<|im_start|>user\n{one}\n{two}<|im_end|>" in text
    assert load("llama3").text(TALK[:5], (DOSE,)).count("<|start_header_id|>ipython") == 2
    assert "[INST] observation\n90 mg" in load("llama2", "glm4").text(TALK[:5], (DOSE,))


def test_a_template_without_a_system_turn_has_the_tools_above_the_question() -> None:
    source = (
        "{%- for m in messages -%}{%- if m.role == 'system' -%}{{ raise_exception('no system') }}{%- endif -%}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor -%}"
        "{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
    )
    text = native("x", source).text((user("How much?"),), (DOSE,))
    assert text.startswith("<|im_start|>user\n# Tools\n")
    assert text.rstrip().endswith("</tool_call>\n\nHow much?<|im_end|>")


def test_without_tools_the_text_is_what_the_template_alone_writes() -> None:
    for name in named_templates():
        plain = tuple(m for m in talk(name) if m.role != "tool" and not m.tool_calls)[:3]
        assert load(name, "qwen").text(plain) == load(name).text(plain)


@pytest.mark.parametrize("name", NATIVE)
def test_a_template_that_writes_tools_keeps_doing_so(name: str) -> None:
    template = native(name)
    assert template.tool_use.native
    assert template.tool_use.format is FORMATS[name]
    text = template.text(TALK, (DOSE,))
    assert json.dumps([DOSE], ensure_ascii=False) in text
    calls = [FORMATS[name].parse(t.removesuffix("<|im_end|>")).calls for t in trained(template)]
    assert calls == [m.tool_calls for m in TALK if m.role == "assistant"]


def test_calls_are_numbered_and_results_name_theirs() -> None:
    text = native("mistral").text(TALK, (DOSE,))
    for number, answer in ((1, "90 mg"), (2, '{"error": "no weight"}'), (3, "90 mg")):
        assert f'"id": "call0000{number}"' in text
        assert f"{answer} answers call0000{number} dose" in text


def test_a_named_format_must_read_what_the_template_writes() -> None:
    tokenizer = byte_level(special=("<|im_start|>", "<|im_end|>", "</s>"))
    tokenizer.chat_template = NATIVE["qwen"]
    assert ChatTemplate.load(tokenizer, None, "qwen").tool_use.native
    with pytest.raises(
        RenderError, match="writes tool calls itself, and not in the format mistral; leave the tool format out"
    ):
        ChatTemplate.load(tokenizer, None, "mistral")
    with pytest.raises(RenderError, match="tool format 'hermes' is not known"):
        ChatTemplate.load(tokenizer, None, "hermes")


def test_a_form_that_is_none_of_ours_can_be_trained_and_not_read() -> None:
    source = NATIVE["qwen"].replace("tool_call>", "call>")
    template = native("x", source)
    assert template.tool_use.native
    assert template.tool_use.format is None
    assert "<call>" in trained(template)[0]


@pytest.mark.parametrize(
    ("turn", "source", "message"),
    [
        (Message("assistant", "Action: dose\nAction Input: {}", TWO[:1]), None, "cannot be read back as they were"),
        (Message("assistant", "", ({"name": "a dose", "arguments": {}},)), "react", "cannot be read back as they were"),
        (
            Message("assistant", "I look.", TWO[:1]),
            NATIVE["qwen"].replace("{{ m.content }}", "{{ m.content if not m.tool_calls else '' }}"),
            "leaves out what the assistant says beside its tool calls",
        ),
    ],
)
def test_a_call_that_would_teach_something_else_is_refused(turn: Message, source: Any, message: str) -> None:
    template = native("x", source) if source and source != "react" else load("vicuna")
    row = Dialogue((user("?"), turn, Message("tool", "1"), says("2")), Source("t", 1), (DOSE,))
    with pytest.raises(RenderError, match=message):
        render_dialogue(row, template, 4096)
