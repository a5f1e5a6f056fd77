"""Feedback rows: every spelling of prompt, answer and verdict, what is not one, and pairs that are taken apart."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.data.test_data_formats import SHAREGPT, SOURCE, _chat, _convert, _m, _name, _reason

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Feedback, Message, Preference
from medicalgpt.data.report import detect
from medicalgpt.data.split import group_key
from medicalgpt.errors import DataError

PROMPT, GOOD = _m(("u", "q")), _m(("a", "r"))
TOOL = [{"name": "f"}]


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "q", "completion": "r", "label": True}, PROMPT),
        ({"prompt": _chat(("user", "q")), "completion": _chat(("assistant", "r")), "label": True}, PROMPT),
        ({"prompt": "q", "completion": {"role": "assistant", "content": "r"}, "label": "True"}, PROMPT),
        ({"prompt": "q", "completion": _chat(("user", "q"), ("assistant", "r")), "desirable": 1}, PROMPT),
        ({"question": "q", "answer": "r", "kto_tag": True, "system": "s"}, _m(("s", "s"), ("u", "q"))),
        ({"instruction": "q", "input": "x", "output": "r", "kto_tag": True}, _m(("u", "q\nx"))),
        (
            {"instruction": "q", "output": "r", "history": [["q0", "r0"]], "kto_tag": 1},
            _m(("u", "q0"), ("a", "r0"), ("u", "q")),
        ),
        ({"conversations": _chat(("human", "q"), ("gpt", "r"), keys=SHAREGPT), "kto_tag": "true"}, PROMPT),
        ({"conversations": _chat(("human", "q"), keys=SHAREGPT), "response": "r", "kto_tag": True}, PROMPT),
        ({"messages": json.dumps(_chat(("user", "q"), ("assistant", "r"))), "label": True, "prompt": "q"}, PROMPT),
        ({"messages": _chat(("user", "q"), ("assistant", "r")), "completion": None, "label": True}, PROMPT),
        (
            {"messages": _chat(("user", "q0"), ("assistant", "r0"), ("user", "q"), ("assistant", "r")), "label": True},
            _m(("u", "q0"), ("a", "r0"), ("u", "q")),
        ),
    ],
)
def test_feedback_shapes(row: dict[str, Any], prompt: tuple[Message, ...]) -> None:
    assert _name(row) == "feedback"
    assert _convert(row) == Feedback(prompt, GOOD, True, SOURCE)


@pytest.mark.parametrize("value", [False, "false", " FALSE ", 0, "0"])
def test_a_verdict_may_be_spelled_in_many_ways(value: Any) -> None:
    assert _convert({"prompt": "q", "completion": "r", "kto_tag": value}).desirable is False
    assert _convert({"prompt": "q", "completion": "r", "x": value}, {"desirable": "x"}).desirable is False


@pytest.mark.parametrize("label", [3, 1, 0.0, "asthma", None, "1"])
def test_a_label_that_is_no_verdict_leaves_a_dialogue_a_dialogue(label: Any) -> None:
    assert _name({"question": "q", "answer": "r", "label": label}) == "qa"


def test_columns_override_detection() -> None:
    row = {"问": "q", "答": "r", "ok": True, "label": False}
    assert _convert(row, {"question": "问", "answer": "答", "desirable": "ok"}) == Feedback(PROMPT, GOOD, True, SOURCE)
    assert _convert(row) == Feedback(PROMPT, GOOD, False, SOURCE)


def test_tools_are_kept() -> None:
    row = {"messages": _chat(("user", "q"), ("assistant", "r")), "tools": TOOL, "label": False}
    assert [tool["function"]["name"] for tool in _convert(row).tools] == ["f"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "q", "completion": "r", "kto_tag": "good"}, "kto_tag is text, not true or false"),
        ({"completion": "r", "kto_tag": None}, "kto_tag is null, not true or false"),
        ({"prompt": "q", "completion": "r", "desirable": 2}, "desirable is a number, not true or false"),
        (
            {"prompt": "q", "completion": "r", "kto_tag": True, "label": False},
            "'kto_tag' and 'label' could each be the desir",
        ),
        ({"prompt": "q", "completion": " ", "label": True}, "completion is blank"),
        (
            {"prompt": "q", "completion": 7, "label": True},
            "completion is a number, not text, a turn or a list of turns",
        ),
        ({"prompt": "q", "label": True}, "the answer is missing"),
        ({"completion": "r", "label": True}, "the prompt is missing"),
        ({"prompt": None, "completion": "r", "label": True}, "prompt is null"),
        (
            {"messages": _chat(("user", "q")), "label": True},
            "there is no answer: the last turn is not from the assistant",
        ),
        ({"messages": _chat(("assistant", "r")), "label": True}, "no user turn and no assistant turn"),
        (
            {"prompt": _chat(("user", "q"), ("assistant", "r")), "completion": "r", "label": True},
            "wrong role order: the prompt ends",
        ),
        (
            {"prompt": "q", "completion": _chat(("user", "x")), "label": True},
            "wrong role order: a user turn follows a user turn",
        ),
    ],
)
def test_bad_rows_have_their_reason(row: dict[str, Any], reason: str) -> None:
    assert _reason(row).startswith(reason)


PAIR = {"prompt": "q", "chosen": "r", "rejected": "x"}
ROW = {"prompt": "q", "completion": "r", "label": True}


def test_where_feedback_is_read_pairs_will_do(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (PAIR, ROW)), encoding="utf-8")
    ledger = Ledger()
    records = list(read([path], "feedback", ledger=ledger))
    assert [type(r) for r in records] == [Preference, Feedback]
    assert len({group_key(r) for r in records}) == 1  # one question, so one side of the split
    assert ledger.seen[str(path)] == 2
    with pytest.raises(DataError, match="a feedback row"):
        list(read([path], "preference", ledger=Ledger()))


def test_other_stages_say_where_feedback_belongs(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"a feedback row \(shape feedback\), which fits `medicalgpt train kto`; here dialogue"
    ):
        list(read([path], "dialogue", ledger=Ledger()))
    path.write_text(json.dumps({"question": "q", "answer": "r"}) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"here feedback rows are needed: .*chosen and rejected.* or .*verdict"):
        list(read([path], "feedback", ledger=Ledger()))


def test_feedback_is_reported_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("prompt,completion,label\nq,r,true\nq,x,False\nq,x,maybe\n", encoding="utf-8")
    found = detect(path)
    assert (found.shape, found.kind, found.shapes) == ("feedback", "feedback", {"feedback": 2, "qa": 1})
