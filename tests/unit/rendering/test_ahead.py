"""Rows that are encoded many at a time come out as each would alone, whatever stands beside them."""

import json
from typing import Any

import pytest
from tests.texts import says, user
from tests.tiny import tiny_tokenizer

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.records import Dialogue, Message, Source
from medicalgpt.rendering.ahead import encoded_ahead
from medicalgpt.rendering.encode import Encoder
from medicalgpt.rendering.renderer import Renderer
from medicalgpt.rendering.row_work import Chunk, RowWork
from medicalgpt.rendering.template import ChatTemplate

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def turns(*contents: str, **marks: Any) -> list[dict[str, Any]]:
    """User and assistant by turns; `marks` stand beside the words of the last."""
    found: list[dict[str, Any]] = [
        {"role": ("user", "assistant")[number % 2], "content": content} for number, content in enumerate(contents)
    ]
    return [*found[:-1], found[-1] | marks]


ROWS: list[dict[str, Any]] = [
    {"messages": turns("A fever?", "Rest.")},
    {"messages": turns("A fever?", "Rest.", "And then?", "Call a doctor.")},
    {"messages": turns("A fever?", "Rest."), "tools": [TOOL]},
    {"messages": turns("A fever?", "It <|im_end|> ends.")},
    {"messages": turns("Nobody answers.")},
    {"messages": turns("Long? " * 300, "Rest.")},
    {"messages": turns("Longer? " * 4000, "Rest.")},
    {"messages": turns("A fever?", "Rest. " * 300)},
    {"messages": turns("A fever?", "Not learned.", weight=0)},
    {"messages": turns("A fever?", "Learned by half.", weight=0.5)},
    {"messages": turns("A fever?", "\n\n Blanks around. ")},
    {"messages": turns("A fever?", "<think>\nHm.\n</think>\n\nRest.")},
    {"text": "A document."},
    {"messages": turns("發燒怎麼辦？", "多喝水。")},
]


def work(template: ChatTemplate, **data: Any) -> RowWork:
    config = DataConfig(**{"train": ["rows.jsonl"], "max_tokens": 64, **data})
    return RowWork(Renderer(config, "dialogue", template, "assistant", 0), "dialogue", {}, keyed=True)


def chunk(rows: list[dict[str, Any]]) -> Chunk:
    return Chunk(0, "rows.jsonl", [(number, json.dumps(row)) for number, row in enumerate(rows, 1)])


@pytest.mark.parametrize("data", [{}, {"over_length": "split"}, {"over_length": "drop"}, {"system": "Be brief."}])
def test_rows_come_out_as_each_would_alone(data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    together = work(ChatTemplate.load(tiny_tokenizer()), **data).trees(chunk(ROWS))
    monkeypatch.setattr(Renderer, "encoded", lambda self, records: [None] * len(records))
    alone = work(ChatTemplate.load(tiny_tokenizer()), **data).trees(chunk(ROWS))
    assert together == alone
    outcomes = [found.value.row.outcome if found.value else "not read" for found in together]
    assert {"kept", "dropped", "not read"} <= set(outcomes)
    assert any(found.value is not None and found.value.error for found in together)


def test_what_is_encoded_ahead_is_not_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ids are those of rendering; asking for them once more would take the time that this is to save."""
    asked: list[int] = []
    remembered = Encoder.arrays

    def counted(encoder: Encoder, parts: list[str]) -> Any:
        asked.append(len(parts))
        return remembered(encoder, parts)

    monkeypatch.setattr(Encoder, "arrays", counted)
    done = work(ChatTemplate.load(tiny_tokenizer())).trees(chunk([{"messages": turns("A fever?", "Rest.")}] * 5))
    assert not asked
    assert all(found.value is not None and found.value.row.outcome == "kept" for found in done)


def test_rows_that_are_not_ordinary_are_left_to_rendering() -> None:
    template = ChatTemplate.load(tiny_tokenizer())
    source = Source("rows.jsonl", 1)
    ordinary = Dialogue((user("A fever?"), says("Rest.")), source)
    left = [
        Dialogue(ordinary.messages, source, tools=(TOOL,)),
        Dialogue((user("A fever?"), says("It <|im_end|> ends.")), source),
        Dialogue((user("A fever?"), says("Rest. " * 300)), source),
        Dialogue((user("A fever? " * 4000), says("Rest.")), source),
        Dialogue((*ordinary.messages, Message("user", "And then?")), source),
        None,
    ]
    found = encoded_ahead(template, [*left, ordinary], 64)
    assert found[:-1] == [None] * len(left)
    assert found[-1] is not None
    assert "".join(found[-1].parts.texts).startswith("<|im_start|>user\nA fever?<|im_end|>")


def test_a_fault_shows_in_its_own_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer of foreign code may raise anything: rows before it are rendered, and what it says comes unchanged."""

    def each(encoder: Encoder, parts: list[str]) -> Any:
        raise LookupError("no such token")

    whole = work(ChatTemplate.load(tiny_tokenizer())).trees(chunk(ROWS[:2]))
    monkeypatch.setattr(Encoder, "each", each)
    with pytest.raises(LookupError, match="no such token"):
        work(ChatTemplate.load(tiny_tokenizer())).trees(chunk(ROWS[:2]))
    monkeypatch.setattr(Encoder, "arrays", lambda self, parts: [self.array(part) for part in parts])
    assert work(ChatTemplate.load(tiny_tokenizer())).trees(chunk(ROWS[:2])) == whole
