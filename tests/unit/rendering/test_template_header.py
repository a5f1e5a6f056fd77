"""What a template says about itself, and that it is kept: stops, places for roles, thoughts."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.golden_templates import GOLDEN
from tests.texts import FAMILIES, SPECIAL, byte_level, says, user
from tests.tiny import CHATML
from tokenizers import AddedToken

from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.errors import RenderError
from medicalgpt.rendering.rows import render_dialogue
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.template_header import named_info, named_templates, read_info
from medicalgpt.training.preflight import _prompts_agree

HEAD = "{#- medicalgpt template\nsource: ours\nurl: https://example.org\n"
CALL = {"name": "dose", "arguments": {"kg": 9}}
THOUGHTFUL_CALL = Message("assistant", "<think>\n38 is high.\n</think>\n\n", (CALL,))
THOUGHTFUL = says("<think>\n38 is high.\n</think>\n\nYes.")


def tokenizer(special: tuple[str, ...] = (*SPECIAL, *FAMILIES)) -> Any:
    return byte_level(eos="</s>", bos="<s>", special=special)


def row(*messages: Message) -> Dialogue:
    return Dialogue(messages, Source("rows", 1))


def trained(template: ChatTemplate, *messages: Message) -> list[str]:
    """The text that is trained in each chain."""
    paths = [tree.path(0) for tree in render_dialogue(row(*messages), template, 4096).trees]
    return [template.encoder.decode(ids[weights > 0]) for ids, weights in paths]


# -- the head ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOLDEN)
def test_every_head_says_what_the_template_does(name: str) -> None:
    info, golden = named_info(name), GOLDEN[name]
    template = ChatTemplate.load(tokenizer(), name)
    assert template.info == info
    first, *others = ["</s>" if text == "eos_token" else text for text in info.stop]
    assert first == golden.stop
    assert set(golden.more_stops) <= set(others)
    special = template.encoder.special
    assert template.stop_ids[: 1 + len(others)] == [special[first], *(special[text] for text in others)]
    assert template.stop_texts == ()
    assert (info.system != "none") == golden.system
    asked = template.text((user("Hi"),), generation_prompt=True)
    if info.default_system:
        assert info.default_system in asked
    assert info.url.startswith("https://") or info.url == "docs/templates.md"


@pytest.mark.parametrize("name", [name for name in GOLDEN if named_info(name).system.endswith("turn")])
def test_a_system_message_without_a_place_of_its_own_stands_in_a_question(name: str) -> None:
    template = ChatTemplate.load(tokenizer(), name)
    talk = (Message("system", "Be brief."), user("First"), says("Yes."), user("Second"))
    question = {"first user turn": "First", "last user turn": "Second"}[named_info(name).system]
    assert f"Be brief.\n\n{question}" in template.text(talk, generation_prompt=True)
    assert template.text(talk).count("Be brief.") == 1


def test_a_template_without_a_head_promises_nothing() -> None:
    template = ChatTemplate(tokenizer(), CHATML, "own")
    assert (template.info, template.stop_texts) == (None, ())
    assert template.stop_ids[0] == template.encoder.special["<|im_end|>"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("stops: [a]", "stops is not known"),
        ("stop: []", "stop must be a list of texts"),
        ("stop: [7]", "stop must be a list of texts"),
        ("system: before", "system must be one of own, first user turn, last user turn, none"),
        ("default_system: 7", "default_system must be a text"),
        ("a: b: c", "is not YAML"),
    ],
)
def test_a_wrong_head_is_refused(more: str, message: str) -> None:
    with pytest.raises(RenderError, match=f"'own': the comment at its head.*{message}"):
        read_info(f"{HEAD}{more}\n-#}}", "own")


def test_a_head_must_say_whose_format_it_is() -> None:
    with pytest.raises(RenderError, match="source is missing; url is missing"):
        read_info("{#- medicalgpt template\nstop: [a]\n-#}", "own")


def test_a_file_of_the_users_may_have_a_head(tmp_path: Path) -> None:
    source = HEAD + 'stop: ["<|im_end|>", "### User:"]\ndefault_system: "Be kind. 溫和。"\n-#}\n'
    source += "{%- if messages[0]['role'] != 'system' -%}{{- bos + default_system + '\n' -}}{%- endif -%}" + CHATML
    (tmp_path / "own.jinja").write_text(source, encoding="utf-8")
    template = ChatTemplate.load(tokenizer(), str(tmp_path / "own.jinja"))
    assert template.text((user("Hi"),)) == "<s>Be kind. 溫和。\n<|im_start|>user\nHi<|im_end|>\n"
    assert template.stop_texts == ("### User:",)
    saved = ChatTemplate(tokenizer(), template.source, "tokenizer")  # as it lies with a trained model
    assert (saved.stop_texts, saved.text((user("Hi"),))) == (template.stop_texts, template.text((user("Hi"),)))


def test_the_documentation_lists_every_template_and_its_example_works(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "templates.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert set(named_templates()) <= {name for cell in rows for name in re.findall(r"`([^`]+)`", cell)}
    (tmp_path / "own.jinja").write_text(text.split("```jinja\n")[1].split("```")[0], encoding="utf-8")
    template = ChatTemplate.load(tokenizer(), str(tmp_path / "own.jinja"))
    assert trained(template, user("Fever?"), says("Call.")) == ["Call.<|im_end|>"]
    assert template.stop_texts == ("### Patient:",)
    assert "Answer for a nurse" in template.text((user("Fever?"),))


# -- stops ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in GOLDEN if GOLDEN[name].stop != "</s>"])
def test_a_tokenizer_without_the_stop_token_is_refused(name: str) -> None:
    stop = GOLDEN[name].stop
    special = tuple(token for token in (*SPECIAL, *FAMILIES) if token != stop)
    with pytest.raises(RenderError, match=r"ends an answer with .* which is no single token of this tokenizer"):
        ChatTemplate.load(tokenizer(special), name)


def test_a_stop_beside_the_first_may_be_plain_text() -> None:
    special = tuple(token for token in (*SPECIAL, *FAMILIES) if token != "<|User|>")
    template = ChatTemplate.load(tokenizer(special), "internlm")
    assert template.stop_texts == ("<|User|>",)
    assert template.stop_ids[0] == template.encoder.special["<eoa>"]


def test_a_stop_that_is_a_token_but_not_marked_special_can_be_trained() -> None:
    """As InternLM's <eoa>: an ordinary entry of the vocabulary."""
    byte_level.cache_clear()  # the tokenizer is changed below
    own = tokenizer(tuple(token for token in (*SPECIAL, *FAMILIES) if token != "<eoa>"))
    own.add_tokens([AddedToken("<eoa>", special=False, normalized=False)])
    byte_level.cache_clear()
    template = ChatTemplate.load(own, "internlm")
    index = own.convert_tokens_to_ids("<eoa>")
    assert template.stop_id == index
    assert trained(template, user("Fever?"), says("38.")) == ["38.<eoa>"]
    with pytest.raises(RenderError, match="special token '<eoa>'; remove it"):
        render_dialogue(row(user("<eoa>?"), says("38.")), template, 4096)


def test_a_head_that_names_another_stop_than_it_writes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text(HEAD + 'stop: ["<|eot_id|>"]\n-#}\n' + CHATML, encoding="utf-8")
    with pytest.raises(
        RenderError, match=r"names '<\|eot_id\|>' as its first stop, but ends an answer with '<\|im_end\|>'"
    ):
        ChatTemplate.load(tokenizer(), str(tmp_path / "own.jinja"))


@pytest.mark.parametrize("name", GOLDEN)
def test_the_preflight_agrees(name: str) -> None:
    assert "equal token by token" in _prompts_agree(ChatTemplate.load(tokenizer(), name), [])


# -- thoughts ------------------------------------------------------------------------------------------------------

TALK = (user("Fever?"), THOUGHTFUL, user("Cough?"), says("<think>Nothing heard.</think>No."))


def test_qwen3_trains_the_thoughts_of_each_answer_and_shows_none_of_earlier_ones() -> None:
    template = ChatTemplate.load(tokenizer(), "qwen3")
    assert trained(template, *TALK) == [
        "<think>\n38 is high.\n</think>\n\nYes.<|im_end|>",
        "<think>\nNothing heard.\n</think>\n\nNo.<|im_end|>",
    ]
    prompt = template.encoder.decode(template.prompt_ids(TALK[:3]))
    assert "38 is high" not in prompt
    assert prompt.endswith(
        "<|im_start|>assistant\nYes.<|im_end|>\n<|im_start|>user\nCough?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("name", ["qwen3", "qwen3.5"])
def test_thoughts_before_a_call_are_trained(name: str) -> None:
    texts = trained(ChatTemplate.load(tokenizer(), name), user("Fever?"), THOUGHTFUL_CALL)
    assert len(texts) == 1
    assert "38 is high.\n</think>\n\n<tool_call>" in texts[0]


def test_qwen35_opens_the_thoughts_in_its_prompt() -> None:
    template = ChatTemplate.load(tokenizer(), "qwen3.5")
    assert trained(template, *TALK) == [
        "38 is high.\n</think>\n\nYes.<|im_end|>",
        "Nothing heard.\n</think>\n\nNo.<|im_end|>",
    ]
    assert trained(template, user("Fever?"), says("Yes.")) == ["\n</think>\n\nYes.<|im_end|>"]


@pytest.mark.parametrize("name", ["qwen3-nothink", "qwen3.5-nothink"])
def test_the_empty_block_of_thoughts_is_given_and_not_trained(name: str) -> None:
    template = ChatTemplate.load(tokenizer(), name)
    assert trained(template, user("Fever?"), says("Yes."), user("Cough?"), says("No.")) == [
        "Yes.<|im_end|>",
        "No.<|im_end|>",
    ]
    prompt = template.encoder.decode(template.prompt_ids((user("Fever?"), says("Yes."), user("Cough?"))))
    assert prompt.count("<think>") == 1
    assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize("name", ["qwen3-nothink", "qwen3.5-nothink"])
def test_thoughts_are_not_trained_away_in_silence(name: str) -> None:
    template = ChatTemplate.load(tokenizer(), name)
    with pytest.raises(RenderError, match="leaves out or changes the thoughts of an answer"):
        render_dialogue(row(user("Fever?"), THOUGHTFUL), template, 4096)
    with pytest.raises(RenderError, match="leaves out or changes the thoughts of an answer"):
        render_dialogue(row(user("Fever?"), THOUGHTFUL_CALL), template, 4096)
    # A conversation goes on, though, whatever an earlier answer thought.
    assert "38 is high" not in template.encoder.decode(
        template.prompt_ids((user("Fever?"), THOUGHTFUL, user("Cough?")))
    )
