"""Rows in a language that the tokenizer hardly knows, and system prompts that a template adds by itself."""

from collections.abc import Sequence

import pytest
from tests.tiny import tiny_tokenizer

from medicalgpt.data.records import Message
from medicalgpt.rendering import remarks
from medicalgpt.rendering.remarks import added_system, system_remark, unknown_languages
from medicalgpt.rendering.template import ChatTemplate

CHINESE = "高血壓患者應該每天量兩次血壓並且記錄下來"
ENGLISH = "Measure your blood pressure twice a day and write it down."


@pytest.fixture
def template() -> ChatTemplate:
    return ChatTemplate.load(tiny_tokenizer())


class Knowing:
    """An encoder of so many tokens a character, for every text."""

    def __init__(self, template: ChatTemplate, text: str) -> None:
        self.special, self.text = template.encoder.special, text

    def decode(self, ids: Sequence[int]) -> str:
        return self.text


def warned(template: ChatTemplate, text: str, tokens: int, rows: int = 1) -> list[str]:
    template.encoder = Knowing(template, text)  # type: ignore[assignment]  # as much of one as is asked for
    plain = max(template.encoder.special.values()) + 1
    return unknown_languages([[plain] * tokens] * rows, template)


@pytest.mark.parametrize(
    ("text", "rate", "said"),
    [
        (CHINESE, 0.7, ""),
        (CHINESE, 1.1, ""),
        (CHINESE, 1.3, "Chinese"),
        (CHINESE, 2.1, "Chinese"),
        (ENGLISH, 0.25, ""),
        (ENGLISH, 1.2, "in Latin letters"),
        ("Артериальное давление измеряют дважды в день.", 0.4, ""),
        ("Артериальное давление измеряют дважды в день.", 0.9, "Cyrillic"),
        ("혈압은 하루에 두 번 측정해야 합니다 아침과 저녁", 2.0, "Korean"),
        ("120/80, 5 mg, 3 × 2.5 = 7.5 (12:30)", 1.0, ""),
    ],
)
def test_tokens_a_character_tell(template: ChatTemplate, text: str, rate: float, said: str) -> None:
    found = warned(template, text, round(rate * len(text)))
    assert bool(found) == bool(said)
    if said:
        assert f"1 of 1 rows looked at are {said}" in found[0]
        assert "tokens a character" in found[0]
        assert text not in found[0], "no row's words in a message"


def test_the_first_rows_are_looked_at(template: ChatTemplate) -> None:
    (line,) = warned(template, CHINESE, 60, rows=500)
    assert f"{remarks.SAMPLED} of {remarks.SAMPLED} rows" in line


def test_special_tokens_count_for_nothing(template: ChatTemplate) -> None:
    template.encoder = Knowing(template, CHINESE)  # type: ignore[assignment]
    special = next(iter(template.encoder.special.values()))
    plain = max(template.encoder.special.values()) + 1
    assert unknown_languages([[special] * 99 + [plain] * 15], template) == []


ADDS = "{%- if messages[0]['role'] != 'system' -%}<|im_start|>system\nYou are Tiny.<|im_end|>\n{%- endif -%}"
TURNS = (
    "{%- for message in messages -%}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n{%- endif -%}"
)


def of(source: str) -> ChatTemplate:
    return ChatTemplate.of_text(tiny_tokenizer(), source, "mine")


def test_what_a_template_adds_is_found() -> None:
    assert added_system(of(ADDS + TURNS)) == "You are Tiny."
    assert added_system(of(TURNS)) is None
    assert added_system(ChatTemplate.load(tiny_tokenizer(), "alpaca")) is not None


def test_a_template_without_a_place_for_a_system_message_adds_none() -> None:
    assert (
        added_system(
            of(
                TURNS.replace(
                    "-%}<|im_start|>{{",
                    "-%}{{ raise_exception('no') if message['role'] == 'system' }}<|im_start|>{{",
                    1,
                )
            )
        )
        is None
    )


def test_it_is_said_where_a_row_has_no_system_message_and_none_is_set() -> None:
    template, asked = of(ADDS + TURNS), (Message("user", "fever?"),)
    with_own = (Message("system", "Be brief."), *asked)
    (line,) = system_remark(template, None, [with_own, asked])
    assert 'before rows that have none: "You are Tiny."' in line
    assert "data.system" in line
    assert system_remark(template, "Be kind.", [asked]) == []
    assert system_remark(template, None, [with_own]) == []
    assert system_remark(of(TURNS), None, [asked]) == []
    assert system_remark(ChatTemplate.for_documents(bare()), None, [asked]) == []


def test_a_long_one_is_cut() -> None:
    (line,) = system_remark(of(ADDS.replace("Tiny", "Tiny " * 90) + TURNS), None, [(Message("user", "x"),)])
    assert len(line) < 300
    assert " …" in line


def bare():  # type: ignore[no-untyped-def]  # a tokenizer of transformers
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.chat_template = None
    return tokenizer
