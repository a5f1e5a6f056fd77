"""A template that is proven to write words as they are is rendered once a sequence of roles, and every other one each time."""

import random
from typing import Any

import pytest
from tests.tiny import CHATML, tiny_tokenizer

from medicalgpt.rendering.mosaic import Words
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.template_header import named_source, named_templates
from medicalgpt.rendering.verbatim import Verbatim
from medicalgpt.rendering.verbatim_proof import writes_verbatim

TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token")
LOOP = "{%- for message in messages %}"
ODD = ("", " ", "\n", "\t ", "⟦0⟧", "{{ x }}", "user", "高血压", "<think>", " \n⟦1⟧\t ", "\u3000", "system")

PROVEN = {
    "chatml": CHATML,
    "trimmed": LOOP + "{{ message.role + ': ' + message['content'] | trim }}\n{% endfor %}",
    "stripped": LOOP + "{{ '[' ~ message.content.strip() ~ ']' }}{% endfor %}",
    "a system message kept": "{% set system = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in messages[1:] %}{{ m.role }}{% if loop.last and system %}{{ system }}{% endif %}{{ m.content }}{% endfor %}",
    "a namespace": "{% set ns = namespace(first='') %}" + LOOP + "{% if not ns.first %}{% set ns.first = message.content %}"
    "{% endif %}{{ message.role }}{% endfor %}{{ ns.first }}",
    "words or nothing": LOOP + "{% if message.content %}{{ message.content }}{% endif %}{{ message.tool_calls or '|' }}{% endfor %}",
    "tools that are not there": LOOP + "{% if tools or message.tool_calls %}{{ message.content | length }}{% endif %}"
    "{{ message.content }}{% endfor %}",
}  # fmt: skip
REFUSED = {
    "compared": LOOP + "{% if message.content == 'x' %}y{% endif %}{{ message.content }}{% endfor %}",
    "searched": LOOP + "{{ message.content }}{% if '<think>' in message.content %}!{% endif %}{% endfor %}",
    "split": LOOP + "{{ message.content.split('</think>')[-1] }}{% endfor %}",
    "counted": LOOP + "{{ message.content }}{{ message.content | length }}{% endfor %}",
    "replaced": LOOP + "{{ message.content | replace('a', 'b') }}{% endfor %}",
    "upper case": LOOP + "{{ message.content.upper() }}{% endfor %}",
    "as JSON": LOOP + "{{ message.content | tojson }}{% endfor %}",
    "the whole turn": LOOP + "{{ message }}{% endfor %}",
    "sliced": LOOP + "{{ message.content[:5] }}{% endfor %}",
    "searched in a text": LOOP + "{% if message.content in 'abc' %}x{% endif %}{{ message.content }}{% endfor %}",
    "through a name": LOOP + "{% set x = message.content %}{% if x == 'y' %}z{% endif %}{{ x }}{% endfor %}",
    "through a name set below": "{% set x = '' %}" + LOOP + "{% if x == 'y' %}z{% endif %}"
    "{% set x = message.content %}{{ x }}{% endfor %}",
    "through a namespace": "{% set ns = namespace(x='') %}" + LOOP + "{% set ns.x = message.content %}"
    "{% if ns.x == 'y' %}z{% endif %}{% endfor %}",
    "through a namespace of another name": "{% set a = namespace(x='') %}{% set b = a %}" + LOOP
    + "{% set a.x = message.content %}{% endfor %}{% if b.x == 'y' %}z{% endif %}",
    "through the loop": LOOP + "{% if loop.previtem and loop.previtem.content == 'y' %}z{% endif %}{{ message.content }}{% endfor %}",
    "through the loop by another name": LOOP + "{% set l = loop %}{% if l.nextitem.content == 'y' %}z{% endif %}{% endfor %}",
    "where a name has no words yet": LOOP + "{% if loop.last %}{% set x = message.content %}{% endif %}"
    "{% if x is undefined %}{{ message.content | upper }}{% endif %}{% endfor %}",
    "where white space is no text": "{% if 0 | trim %}{{ messages[0].content | upper }}{% endif %}",
    "through a macro": "{% macro m(x) %}{% if x == 'y' %}z{% endif %}{% endmacro %}" + LOOP + "{{ m(message.content) }}{% endfor %}",
    "looped over": LOOP + "{% for c in message.content %}{{ c }}.{% endfor %}{% endfor %}",
    "the day": "{{ strftime_now('%d') }}" + LOOP + "{{ message.content }}{% endfor %}",
    "what is given": LOOP + "{% if bos_token %}{{ message.content | length }}{% endif %}{{ message.content }}{% endfor %}",
    "a filter around": LOOP + "{% filter upper %}{{ message.content }}{% endfilter %}{% endfor %}",
    "a list of turns": "{% for m in messages | map(attribute='content') %}{{ m }}{% endfor %}",
    "no template": "{% if %}",
}  # fmt: skip


def rendering(source: str) -> Any:
    template = ChatTemplate(tiny_tokenizer(), source, "test")

    def render(found: Words) -> str:
        turns = [{"role": role, "content": content} for role, content in found]
        return str(template._apply(turns, (), found[-1][0] != "assistant"))

    return render


def conversations(count: int) -> list[Words]:
    chance = random.Random(3)
    found: list[Words] = []
    for _ in range(count):
        roles = [*(["system"] if chance.random() < 0.5 else []), *["user", "assistant"] * chance.randint(1, 3)]
        roles = roles[: -1 if chance.random() < 0.3 and len(roles) > 2 else None]
        said = [chance.choice(ODD) + f"word {chance.random():.2f}" + chance.choice(ODD) for _ in roles]
        found.append(tuple(zip(roles, said)))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("case", PROVEN)
def test_a_proven_template_says_the_same_without_being_rendered(case: str) -> None:
    render = rendering(PROVEN[case])
    assert writes_verbatim(PROVEN[case], TOKENS)
    once = Verbatim(render, PROVEN[case], TOKENS)
    told = conversations(200)
    assert [once.text(words) for words in told] == [render(words) for words in told]
    once.render = None  # type: ignore[assignment]
    assert [once.text(words) for words in told] == [render(words) for words in told]


@pytest.mark.parametrize("case", REFUSED)
def test_a_template_that_looks_at_words_is_not_proven(case: str) -> None:
    assert not writes_verbatim(REFUSED[case], TOKENS)


@pytest.mark.parametrize("name", named_templates())
def test_named_templates_say_the_same(name: str) -> None:
    template = ChatTemplate.load(tiny_tokenizer(), "chatml")
    source = template.source.partition("{#")[0] + named_source(name)
    if not writes_verbatim(source, TOKENS):
        assert name.startswith("qwen3")  # they look for thoughts
        return
    render = rendering(source)
    once = Verbatim(render, source, TOKENS)
    for words in conversations(60):
        try:
            expected = render(words)
        except Exception as error:
            with pytest.raises(type(error)):
                once.text(words)
        else:
            assert once.text(words) == expected


def test_blank_words_are_rendered() -> None:
    source = LOOP + "{% if message.content %}{{ message.content }}{% else %}none{% endif %}{% endfor %}"
    once = Verbatim(rendering(source), source, TOKENS)
    for content in ("a", "b", "c", "d", "", " "):
        assert once.text((("user", content),)) == (content or "none")


def test_a_wrong_proof_is_found_by_the_first_conversations(monkeypatch: pytest.MonkeyPatch) -> None:
    source = LOOP + "{{ message.content | upper }}{% endfor %}"
    once = Verbatim(rendering(source), source, TOKENS)
    once.__dict__["proven"] = True
    assert [once.text((("user", text),)) for text in "abcd"] == ["A", "B", "C", "D"]
    assert not once.proven
