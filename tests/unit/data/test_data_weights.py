"""Loss weights in the data are obeyed, columns that change a row's meaning refuse it, and nothing is left unread unnamed."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import tiny_tokenizer
from tests.unit.data.test_data_formats import PROMPT, SOURCE, _chat, _convert, _m, _reason

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.formats import BadRow
from medicalgpt.data.formats.fields import check_columns
from medicalgpt.data.formats.tools import parse_call, parse_tools
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.read_row import row_record
from medicalgpt.data.reader import read
from medicalgpt.data.records import Document, Preference
from medicalgpt.data.report import detect
from medicalgpt.data.rows import Row
from medicalgpt.errors import DataError, RenderError
from medicalgpt.rendering.build import prepare
from medicalgpt.rendering.rows import render_dialogue, render_document
from medicalgpt.rendering.template import ChatTemplate


def _talk(first: dict[str, Any], **row: Any) -> dict[str, Any]:
    turns: list[dict[str, Any]] = _chat(("user", "May I double it?"), ("assistant", "Yes."), ("user", "Sure?"))
    turns[1] |= first
    return {"messages": [*turns, {"role": "assistant", "content": "No, never."}], **row}


def _record(row: dict[str, Any], columns: dict[str, str] | None = None) -> Any:
    return row_record(Row(1, row), "f", columns or {}).record


def _weights(row: dict[str, Any], train_on: Any = "assistant") -> dict[str, float]:
    """The weight of each answer's first word, from the rendered tree."""
    template = ChatTemplate.load(tiny_tokenizer(), "chatml")
    (tree,) = render_dialogue(_record(row), template, 512, train_on).trees
    ids, weights = tree.path(0)
    texts = [template.encoder.decode(ids[: i + 1].tolist()) for i in range(len(ids))]
    at = {word: next(i for i, t in enumerate(texts) if word in t) for word in ("Yes.", "No, never.")}
    return {word: round(float(weights[i]), 4) for word, i in at.items()}


@pytest.mark.parametrize(
    ("marks", "first"),
    [
        *(({key: 0}, 0.0) for key in ("weight", "loss_weight", "loss_scale", "loss", "train", "loss_mask")),
        *(({"weight": "0"}, 0.0), ({"loss": False}, 0.0), ({"train": "False"}, 0.0), ({"masked": True}, 0.0)),
        *(({"weight": 0.25}, 0.25), ({"loss": True}, 1.0), ({"weight": None}, 1.0), ({}, 1.0)),
        ({"weight": 0, "loss": False}, 0.0),
    ],
)
def test_turns_carry_the_weight_that_the_data_gives(marks: dict[str, Any], first: float) -> None:
    assert _weights(_talk(marks)) == {"Yes.": first, "No, never.": 1.0}


def test_the_weight_of_a_row_multiplies_those_of_its_turns() -> None:
    assert _weights(_talk({"weight": 0.5}, loss_weight=0.5)) == {"Yes.": 0.25, "No, never.": 0.5}
    document = _record({"text": "Rest and drink.", "weight": "0.5"})
    assert document == Document("Rest and drink.", SOURCE, 0.5)
    (tree,) = render_document(document, ChatTemplate.load(tiny_tokenizer(), "chatml"), 64).trees
    assert set(tree.segments[0].weights.tolist()) == {0.0, 0.5}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (_talk({"weight": 2}), "weight of a turn is no loss weight from 0"),
        (_talk({"weight": float("nan")}), "no loss weight"),
        (_talk({"weight": [0, 1]}), "no loss weight"),
        (_talk({"loss": 0.5}), "loss of a turn is a number, not true or false"),
        (_talk({"mask": 0}), "has a mask, which some read as learned and some as not"),
        (_talk({"train_detail": [{"begin_offset": 0, "end_offset": 2, "train": False}]}), "parts of a text"),
        (_talk({"weight": 1, "train": False}), "contradicting weights in weight and train"),
        (_talk({}, weight=70.5), "weight of the row is no loss weight"),
        ({"messages": [{"role": "user", "content": "q", "weight": 1}, *_chat(("assistant", "r"))]}, "above 0"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "weight": 0.5}, "not 0 or 1"),
        (
            {"prompt": "q", "chosen": [{"role": "assistant", "content": "a", "weight": 0}], "rejected": "b"},
            "there is nothing to judge",
        ),
    ],
)
def test_weights_that_cannot_be_honored_refuse_the_row(row: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRow, match=words):
        _record(row)


def test_rows_that_are_not_to_be_learned_are_dropped_and_are_no_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"question": f"q {i}", "answer": "a", "train": i % 2 == 0} for i in range(6)]
    rows.append({"messages": [*_chat(("user", "q")), {"role": "assistant", "content": "r", "loss": False}]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    template = ChatTemplate.load(tiny_tokenizer(), "chatml")
    found = prepare(DataConfig(train=[str(path)], eval_fraction=0), "dialogue", template, tmp_path / "c", 1)
    assert (found.ledger["kept"], found.ledger["dropped"], len(found.train)) == (3, 4, 3)
    assert list(found.ledger["reasons"].values()) == [4]
    report = detect(path)
    assert (report.bad, sum(report.not_learned.values())) == (0, 4)


def test_only_the_last_turn_and_all_turns_obey_weights_too() -> None:
    template = ChatTemplate.load(tiny_tokenizer(), "chatml")
    row = _talk({})
    row["messages"][3]["weight"] = 0
    assert render_dialogue(_record(row), template, 512, "last").not_learned
    assert _weights(row, "all") == {"Yes.": 1.0, "No, never.": 0.0}
    row["messages"][0]["loss_weight"] = 0
    with pytest.raises(RenderError, match="train_on=all"):
        render_dialogue(_record(row), template, 512, "all")


@pytest.mark.parametrize(
    "name", ["images", "Image", "image_path", "img", "audios", "videos", "Figure_path", "dicom_file"]
)
def test_rows_with_pictures_or_sound_are_refused_unless_they_are_left_out(name: str) -> None:
    row = {"question": "<image>What do you see?", "answer": "A shadow.", name: ["a.png"]}
    assert "holds pictures, sound or films" in _reason(row)
    assert _convert({**row, name: None}).messages[1].content == "A shadow."
    assert row_record(Row(1, row), "f", {"images": "-"}).left == (name.casefold(),)
    with pytest.raises(DataError, match="pictures and sound are not read"):
        check_columns({"images": "films"})


def test_a_picture_within_a_turn_is_refused() -> None:
    turn = {"role": "user", "content": "What is it?", "images": ["a.png"]}
    assert "picture" in _reason({"messages": [turn, *_chat(("assistant", "r"))]})


def test_every_column_that_nothing_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    turns = [{"role": "user", "content": "q", "mood": "calm"}, *_chat(("assistant", "r"))]
    rows = [
        {"question": "q", "prompt": "other", "answer": "a", "Topic": "x", "note": " "},
        {"question": "q", "answer": "a", "Topic": "x", "y" * 50: 1},
        {"messages": turns, "tools": None},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ledger = Ledger()
    list(read([path], "dialogue", ledger=ledger))
    hidden = "(a name too long or odd to show)"
    named = {"topic": 2, "prompt": 1, "mood (of turns)": 1, hidden: 1}
    assert ledger.as_dict()["files"][str(path)]["unread"] == named
    assert ledger.as_dict()["warnings"]["the column 'topic' was not read"] == 2
    assert detect(path).unread == named


def test_the_names_of_unread_columns_are_bounded() -> None:
    ledger = Ledger()
    for i in range(500):
        ledger.leave("a", [f"name{i}"])
    assert len(ledger.unread) == 51
    assert sum(ledger.unread.values()) == 500


@pytest.mark.parametrize("columns", [{"question": "input"}, {"question": "INPUT", "answer": "target"}, {}])
def test_a_mapped_column_is_read_once(columns: dict[str, str]) -> None:
    row = {"input": "發燒怎麼辦？", "target": "多休息。", "task_type": "qa"}
    assert _convert(row, columns).messages == _m(("u", "發燒怎麼辦？"), ("a", "多休息。"))


def test_mapped_system_and_history_are_read_once() -> None:
    row = {"system": "q", "history": "r"}
    assert _convert(row, {"question": "system", "answer": "history"}).messages == _m(("u", "q"), ("a", "r"))


TALK = "\n\nHuman: I cough.\n\nAssistant: Since when?\n\nHuman: Today.\n\nAssistant:"
GOOD, POOR = _m(("a", "Drink enough.")), _m(("a", "Take antibiotics."))
LONG = _m(("u", "I cough."), ("a", "Since when?"), ("u", "Today."))


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"chosen": f"{TALK} Drink enough.", "rejected": f"{TALK} Take antibiotics."}, LONG),
        ({"prompt": TALK, "chosen": "Drink enough.", "rejected": "Take antibiotics."}, LONG),
        (
            {
                "system": "",
                "history": [],
                "question": "q",
                "response_chosen": GOOD[0].content,
                "response_rejected": POOR[0].content,
            },
            PROMPT,
        ),
        (
            {
                "input": {"messages": _chat(("user", "q")), "tools": [], "parallel_tool_calls": True},
                "preferred_output": _chat(("assistant", GOOD[0].content)),
                "non_preferred_output": _chat(("assistant", POOR[0].content)),
            },
            PROMPT,
        ),
        (
            {"messages": _chat(("user", "q"), ("assistant", GOOD[0].content)), "rejected_response": POOR[0].content},
            PROMPT,
        ),
        (
            {
                f"{name}_messages": [
                    {"role": "user", "content": [{"type": "text", "value": "q"}]},
                    {"role": "assistant", "content": [{"type": "text", "value": answer[0].content}]},
                ]
                for name, answer in (("chosen", GOOD), ("rejected", POOR))
            },
            PROMPT,
        ),
    ],
)
def test_pairs_in_other_spellings(row: dict[str, Any], prompt: Any) -> None:
    assert _record(row) == Preference(prompt, GOOD, POOR, SOURCE)


def test_dialogues_in_other_spellings() -> None:
    pairs = [{"human": "q0", "assistant": "r0"}, {"human": "q", "assistant": "r"}]
    whole = _m(("u", "q0"), ("a", "r0"), ("u", "q"), ("a", "r"))
    assert _convert({"conversation": pairs}).messages == whole
    marked = [{"system": "s", "input": "q", "output": "r", "output_with_loss": False}, {"input": "q", "output": "r"}]
    found = _record({"conversation": marked}).messages
    assert [m.weight for m in found] == [None, None, 0.0, None, None]
    asked = {"role": "user", "content": "q", "loss_weight": 0.0}
    call = {"type": "tool_call", "value": '{"name": "dose", "arguments": {"kg": 70}}'}
    thought = {"role": "assistant", "content": [{"type": "reasoning", "value": "why"}, {"type": "text", "value": "r"}]}
    assert _record({"messages": [asked, thought]}).messages[1].content == "<think>\nwhy\n</think>\n\nr"
    assert (
        _record({"messages": [asked, {"role": "assistant", "content": [call]}]}).messages[1].tool_calls[0]["name"]
        == "dose"
    )
    assert "no text under" in _reason({"messages": [{"role": "user", "content": [{"type": "text"}]}]})


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "f", "parameters": {"minimum": float("nan")}},
        {"name": "f", "parameters": {"description": "\ud83d"}},
        {"name": "f\ud83d"},
        {"name": "f", "parameters": [1]},
        {"name": "f", "description": 5},
        {"name": "f", "parameters": {"default": b"x"}},
    ],
)
def test_tools_that_no_json_could_hold_are_bad_rows(tool: dict[str, Any]) -> None:
    with pytest.raises(BadRow):
        parse_tools([tool])
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    for value in (deep, float("inf"), b"x", "\udc00"):
        with pytest.raises(BadRow):
            parse_call({"name": "f", "arguments": {"a": value}})
    with pytest.raises(BadRow):
        parse_tools('[{"name": "f", "parameters": {"minimum": NaN}}]')


@pytest.mark.parametrize("marks", [{"Weight": 0}, {" LOSS ": False}, {"Masked": True}, {"Loss_Weight": 0.0}])
def test_the_case_of_a_turns_keys_makes_no_difference(marks: dict[str, Any]) -> None:
    assert _weights(_talk(marks)) == {"Yes.": 0.0, "No, never.": 1.0}
    turns = [{"Role": "user", "Content": "q"}, {"ROLE": "assistant", "content": "r", "Reasoning_Content": "why"}]
    assert [m.content for m in _record({"messages": turns}).messages] == ["q", "<think>\nwhy\n</think>\n\nr"]
    pairs = [{"Human": "q", "Assistant": "r", **marks}, {"Human": "q2", "Assistant": "r2"}]
    assert [m.weight for m in _record({"conversation": pairs}).messages] == [None, 0.0, None, None]
    with pytest.raises(BadRow, match="two keys whose names differ only in upper and lower case"):
        _record(_talk({"weight": 1, "Weight": 0}))


def _unread(row: dict[str, Any]) -> set[str]:
    return set(row_record(Row(1, row), "f", {}).left)


def test_keys_of_exchanges_of_single_turns_and_of_turns_in_tables_are_named_too() -> None:
    pair = {"Human": "q", "assistant": "r", "mood": "calm", "system": "s", "weight": 1}
    assert _unread({"conversation": [pair]}) == {"mood (of turns)"}
    chosen = {"role": "assistant", "content": "r", "mood": "calm"}
    assert _unread({"prompt": "q", "chosen": chosen, "rejected": "s"}) == {"mood (of turns)"}
    turns = [{"role": "user", "content": "q", "mood": "calm"}, *_chat(("assistant", "r"))]
    assert _unread({"messages": json.dumps(turns)}) == {"mood (of turns)"}
    call = {"from": "function_call", "value": '{"name": "dose", "arguments": {}}'}
    calls = [{"from": "human", "value": "q"}, call, {"from": "tool", "name": "dose", "value": "70"}]
    assert _unread({"conversations": [*calls, {"from": "gpt", "value": "r"}]}) == set()


def test_columns_beside_messages_and_a_rejected_answer_are_named_too() -> None:
    turns = [{"role": "user", "content": "q", "mood": "calm"}, *_chat(("assistant", "r"))]
    row = {"messages": turns, "rejected_response": "s", "note": "kept apart"}
    assert _unread(row) == {"note", "mood (of turns)"}
    assert _unread({**row, "messages": json.dumps(turns)}) == {"note", "mood (of turns)"}


@pytest.mark.parametrize("key", ["images", "Audio_Path", "图片"])
def test_pictures_of_an_exchange_and_under_chinese_names_refuse_the_row(key: str) -> None:
    assert "picture" in _reason({"conversation": [{"human": "q", "assistant": "r", key: "a.png"}]})
    assert "holds pictures" in _reason({"question": "q", "answer": "r", key: "a.png"})
