"""Templates that write something behind the last turn's own end when a conversation is over: it is no part of an answer."""

import copy
from typing import Any

import numpy as np
import pytest
from tests.texts import byte_level

from medicalgpt.data.records import Dialogue, Message, Preference, Source
from medicalgpt.rendering.rows import TrainOn, render_dialogue, render_preference
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.training.preflight import _prompts_agree, _stop_coverage

SPECIAL = ("<eos>", "<user>", "<nurse>", "<end>", "<over>")
TURNS = "{%- for m in messages -%}{{- '<' + {'assistant': 'nurse'}.get(m.role, 'user') + '>' + m.content + END -}}{%- endfor -%}"
ASK = "{%- if add_generation_prompt -%}{{- '<nurse>' -}}{%- else -%}{{- TAIL -}}{%- endif -%}"

# name: what ends a turn, what ends a finished conversation, the stop token
SHAPES = {
    "eos behind the end": ("'<end>\n'", "eos_token", "<end>"),
    "two tokens behind the end": ("'<end>'", "'\n<over>\n' + eos_token", "<end>"),
    "eos and a line break": ("eos_token + '\n'", "''", "<eos>"),
    "plain text behind the end": ("'<end>'", "'\nGoodbye.'", "<end>"),
    "no end but that of the whole": ("'\n\n'", "eos_token", "<eos>"),
}
TALK = (
    Message("user", "What is a fever?"),
    Message("assistant", "38 °C or more."),
    Message("user", "血壓高？"),
    Message("assistant", "\nMeasure it again tomorrow. "),
)


def load(shape: str) -> ChatTemplate:
    end, tail, _ = SHAPES[shape]
    tokenizer: Any = copy.deepcopy(byte_level(eos="<eos>", special=SPECIAL))
    tokenizer.chat_template = (TURNS + ASK).replace("END", end).replace("TAIL", tail)
    return ChatTemplate.load(tokenizer)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("train_on", ["assistant", "last", "all"])
def test_training_and_inference_agree_token_by_token(shape: str, train_on: TrainOn) -> None:
    template, stop = load(shape), SHAPES[shape][2]
    assert template.encoder.decode([template.stop_id]) == stop
    assert template.encoder.special["<eos>"] in template.stop_ids
    rendered = render_dialogue(Dialogue(TALK, Source("rows", 1)), template, 4096, train_on)
    seen = set()
    for tree in rendered.trees:
        ids, _ = tree.path(0)
        for turn in (1, 3):
            prompt = template.prompt_ids(TALK[:turn])
            if ids[: len(prompt)].tolist() != prompt:
                continue
            # Without an end of its own an answer is only context where another turn follows.
            if turn == 1 and shape.startswith("no end") and "血壓高" in template.encoder.decode(ids):
                continue
            seen.add(turn)
            answer = template.encoder.decode(ids[len(prompt) :])
            assert answer.startswith(TALK[turn].content)
            assert answer.removeprefix(TALK[turn].content).lstrip("\n").startswith(stop)
        assert ids[-1] == template.stop_id
        assert "<over>" not in template.encoder.decode(ids)
        assert "Goodbye" not in template.encoder.decode(ids)
        if stop == "<end>":
            assert template.encoder.special["<eos>"] not in ids
    assert seen == ({3} if train_on == "last" and len(rendered.trees) == 1 and shape.startswith("no end") else {1, 3})
    assert "equal token by token" in _prompts_agree(template, [TALK])
    assert "100 %" in _stop_coverage(rendered.trees, template)


def test_of_an_answer_only_its_text_and_its_own_end_are_trained() -> None:
    template = load("eos behind the end")
    (tree,) = render_dialogue(Dialogue(TALK, Source("rows", 1)), template, 4096).trees
    ids, weights = tree.path(0)
    runs = np.split(ids, np.flatnonzero(np.diff(weights)) + 1)
    trained = [template.encoder.decode(run) for run in runs[1::2]]
    assert trained == ["38 °C or more.<end>", "\nMeasure it again tomorrow. <end>"]


def test_both_answers_of_a_pair_end_in_it() -> None:
    template = load("two tokens behind the end")
    pair = Preference(TALK[:1], TALK[1:2], (Message("assistant", "Never mind."),), Source("rows", 1))
    (tree,) = render_preference(pair, template, 4096).trees
    for leaf in tree.leaves:
        assert int(tree.path(leaf)[0][-1]) == template.stop_id


def test_thoughts_that_a_template_takes_out_of_earlier_turns_change_nothing() -> None:
    """The tail is looked for on a plain exchange, as earlier thoughts are not there to compare with."""
    tokenizer: Any = copy.deepcopy(byte_level(eos="<eos>", special=SPECIAL))
    tokenizer.chat_template = (
        "{%- for m in messages -%}{%- set text = m.content if loop.last else m.content.split('</think>')[-1] -%}"
        "{{- '<' + {'assistant': 'nurse'}.get(m.role, 'user') + '>' + text + '<end>' -}}{%- endfor -%}"
    ) + ASK.replace("TAIL", "eos_token")
    template = ChatTemplate.load(tokenizer)
    thoughtful = Message("assistant", "<think>38 is high.</think>Yes.")
    talk = (TALK[0], thoughtful, TALK[2], thoughtful)
    trees = render_dialogue(Dialogue(talk, Source("rows", 1)), template, 4096).trees
    assert len(trees) == 2
    for tree, turn in zip(trees, (1, 3)):
        ids, weights = tree.path(0)
        assert template.encoder.decode(ids[weights > 0]) == "<think>38 is high.</think>Yes.<end>"
        assert ids[weights == 0].tolist() == template.prompt_ids(talk[:turn])
