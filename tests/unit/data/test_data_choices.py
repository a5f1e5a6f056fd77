"""Multiple choice: the options are put below the question, and the answer is the option that the row means, or the row is refused."""

from pathlib import Path
from typing import Any

import pytest

from medicalgpt.data.formats import BadRow
from medicalgpt.data.prompts import columns_of, parse_prompt, prompt_of
from medicalgpt.data.read_row import row_record
from medicalgpt.data.records import Feedback, Preference, Source
from medicalgpt.data.rows import Row
from medicalgpt.rewards.choices import choice_letters, reference_letters

QUESTION = "Which vitamin does warfarin antagonize?"
TEXTS = ("Vitamin A", "Vitamin D", "Vitamin K", "Vitamin E")
LINES = "A. Vitamin A\nB. Vitamin D\nC. Vitamin K\nD. Vitamin E"
RIGHT = "C. Vitamin K"
OPTIONS = dict(zip("ABCD", TEXTS))
FROM_0, FROM_1 = {"answer_from_0": "cop"}, {"answer_from_1": "cop"}


def _read(row: dict[str, Any], columns: dict[str, str] | None = None) -> Any:
    return row_record(Row(1, row), "f", columns or {})


def _said(row: dict[str, Any], columns: dict[str, str] | None = None) -> tuple[str, str]:
    question, answer = _read(row, columns).record.messages
    return question.content, answer.content


def _reason(row: dict[str, Any], columns: dict[str, str] | None = None) -> str:
    with pytest.raises(BadRow) as bad:
        _read(row, columns)
    return bad.value.reason


def _columns(stem: str, ends: str) -> dict[str, str]:
    return {stem + end: text for end, text in zip(ends, TEXTS)}


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ({"options": list(TEXTS), "answer": "C"}, {}),
        ({"options": OPTIONS, "answer": "c"}, {}),
        ({"options": OPTIONS, "answer": "Vitamin K", "answer_idx": "C"}, {}),
        ({"options": OPTIONS, "answer": "(C)"}, {}),
        ({"options": OPTIONS, "answer": "C. Vitamin K"}, {}),
        ({"options": {**OPTIONS, "E": ""}, "answer": ["C"]}, {}),
        ({"option": {**OPTIONS, "E": None}, "answer": "C"}, {}),
        ({"options": [{"key": k, "value": v} for k, v in OPTIONS.items()], "answer": "C"}, {}),
        ({"options": [{k: v} for k, v in OPTIONS.items()], "answer": "C"}, {}),
        ({"choices": {"text": list(TEXTS), "label": list("ABCD")}, "answerKey": "C"}, {}),
        ({"choices": {"text": list(TEXTS), "label": list("1234")}, "answerKey": "3"}, {}),
        ({"choices": '["(A) Vitamin A", "(B) Vitamin D", "(C) Vitamin K", "(D) Vitamin E"]', "answer": "C"}, {}),
        ({"choices": list(TEXTS), "answer": "Vitamin K", "label": 2}, {}),
        ({"choices": list(TEXTS), "answer": 2}, {"answer_from_0": "answer"}),
        ({"choices": list(TEXTS), "answer": "3"}, {"answer_from_1": "answer"}),
        ({"opts": list(TEXTS), "answer": "C"}, {"options": "opts"}),
        ({"Options": "A Vitamin A\nB Vitamin D\nC Vitamin K\nD Vitamin E", "Answer": "C"}, {}),
        ({**_columns("op", "abcd"), "cop": 2}, FROM_0),
        ({**_columns("op", "abcd"), "cop": 3.0}, FROM_1),
        ({**_columns("", "ABCD"), "Answer": "C"}, {}),
        ({**_columns("option_", "abcd"), "correct_option": "C"}, {}),
        ({**_columns("Option ", "ABCD"), "correct_answer": "Vitamin K"}, {}),
        ({**_columns("choice", "0123"), "answer": "2"}, {}),
        ({**_columns("option", "1234"), "answer": 3}, {}),
        ({**_columns("ending", "0123"), "label": 2}, {}),
        ({**dict(zip("1234", TEXTS)), "5": "C"}, {f"option_{e}": n for e, n in zip("abcd", "1234")} | {"answer": "5"}),
    ],
)
def test_every_way_to_keep_options_is_the_same_question(options: dict[str, Any], columns: dict[str, str]) -> None:
    row = {"question": QUESTION, **options}
    assert _said(row, columns) == (f"{QUESTION}\n{LINES}", RIGHT)
    assert _read(row, columns).left == ()
    asked = prompt_of(columns_of(Row(1, row), columns), Source("f", 1), None)
    assert (asked.prompt.messages[-1].content, asked.reference) == (f"{QUESTION}\n{LINES}", "C")


def test_what_is_learned_is_what_the_letter_reward_reads() -> None:
    _, answer = _said({"question": QUESTION, "options": OPTIONS, "answer": "C"})
    assert choice_letters(answer) == reference_letters("C")


def test_several_right_options_are_their_letters() -> None:
    row = {
        "question": "哪些药物可致高钾血症?",
        "options": {"A": "螺内酯", "B": "呋塞米", "C": "依那普利"},
        "answer": "AC",
    }
    question, answer = _said(row)
    assert question.endswith("\nA. 螺内酯\nB. 呋塞米\nC. 依那普利")
    assert choice_letters(answer) == reference_letters("AC") == {"A", "C"}
    assert _said({**row, "answer": ["A", "C"]})[1] == _said({**row, "answer": "A、C"})[1] == answer
    assert parse_prompt(Row(1, row), Path("f")).reference == answer


def test_an_answer_in_words_stays_as_it_is_and_the_letter_is_the_reference() -> None:
    row = {
        "question": QUESTION,
        "options": OPTIONS,
        "answer": "It is vitamin K, which clotting factors need.",
        "answer_idx": "C",
    }
    assert _said(row)[1] == row["answer"]
    assert parse_prompt(Row(1, row), Path("f")).reference == "C"
    # A number beside words may count from anywhere: it is not needed, and named as unread.
    assert _read({**row, "answer_idx": 2}).left == ("answer_idx",)


def test_options_that_the_question_repeats_stand_there_once() -> None:
    asked = f"{QUESTION}\n(A) Vitamin A (B) Vitamin D (C) Vitamin K (D) Vitamin E"
    assert _said({"question": asked, "options": OPTIONS, "answer": "C"}) == (asked, RIGHT)
    # The words alone are no options.
    asked = "Is it vitamin A, Vitamin A, Vitamin D, Vitamin K or Vitamin E?"
    assert _said({"question": asked, "options": OPTIONS, "answer": "C"}) == (f"{asked}\n{LINES}", RIGHT)


def test_options_stand_below_an_input() -> None:
    row = {"instruction": "Answer.", "input": QUESTION, "output": "C", **_columns("option_", "abcd")}
    assert _said(row) == (f"Answer.\n{QUESTION}\n{LINES}", RIGHT)
    row = {"input": QUESTION, "target": "C", **_columns("option_", "abcd")}
    assert _said(row) == (f"{QUESTION}\n{LINES}", RIGHT)
    assert parse_prompt(Row(1, row), Path("f")).reference == "C"


def test_options_in_a_text_of_another_layout_are_put_below_as_they_are() -> None:
    row = {"question": QUESTION, "options": "a) Vitamin A; b) Vitamin K", "answer": "b"}
    assert _said(row) == (f"{QUESTION}\na) Vitamin A; b) Vitamin K", "b")


def test_pairs_and_judged_answers_have_the_options_too() -> None:
    pair = _read({"question": QUESTION, "options": OPTIONS, "chosen": "C", "rejected": "Vitamin D"}).record
    assert isinstance(pair, Preference)
    assert [m.content for m in (*pair.prompt, *pair.chosen, *pair.rejected)] == [
        f"{QUESTION}\n{LINES}",
        RIGHT,
        "B. Vitamin D",
    ]
    judged = _read({"prompt": QUESTION, "options": OPTIONS, "completion": "B", "label": False}).record
    assert isinstance(judged, Feedback)
    assert [m.content for m in (*judged.prompt, *judged.answer)] == [f"{QUESTION}\n{LINES}", "B. Vitamin D"]


def test_a_conversation_beside_options_is_as_it_was_and_they_are_named() -> None:
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "Vitamin K."}]
    found = _read({"messages": turns, "options": OPTIONS})
    assert ([m.content for m in found.record.messages], found.left) == ([QUESTION, "Vitamin K."], ("options",))


BASE = "is a number, and nothing says whether it counts the options from 0 or from 1; set data.columns={answer_from_0: "


@pytest.mark.parametrize(
    ("row", "columns", "reason"),
    [
        ({"choices": list(TEXTS), "answer": 2}, {}, f"answer {BASE}answer}} or"),
        ({"choices": list(TEXTS), "answer": "0"}, {}, f"answer {BASE}answer}} or"),
        ({"choices": list(TEXTS), "answer": [1, 2]}, {}, f"answer {BASE}answer}} or"),
        ({**_columns("op", "abcd"), "cop": 1}, {}, f"cop {BASE}cop}} or"),
        ({**_columns("op", "abcd"), "cop": 1}, {"answer": "cop"}, f"cop {BASE}cop}} or"),
        ({"choices": list(TEXTS), "answer": 5}, {}, "answer names none of the row's options"),
        ({"choices": list(TEXTS), "answer": "F"}, {}, "answer names none of the row's options"),
        ({"choices": list(TEXTS), "cop": 4}, FROM_0, "cop names none of the row's options"),
        ({"choices": list(TEXTS), "cop": "C"}, FROM_0, "cop names none of the row's options"),
        ({"options": OPTIONS, "answer": "C", "answer_idx": "D"}, {}, "answer and answer_idx name different options"),
        ({"options": OPTIONS, "answer": "C", "cop": 0}, {}, "answer and cop name different options"),
        ({"options": OPTIONS, "answer": True}, {}, "answer names none of the row's options"),
        ({"options": OPTIONS}, {}, "answer is missing"),
        ({"options": OPTIONS, "answer": None, "label": "pharmacology"}, {}, "answer is null"),
        (
            {"options": {"A": "K", "B": "A"}, "answer": "A"},
            {},
            "answer is the text of one option and the letter of another",
        ),
        ({"options": ["2", "4", "8"], "answer": "2"}, {}, f"answer {BASE}"),
        (
            {"options": OPTIONS, **_columns("option_", "badc"), "answer": "C"},
            {},
            "'options' and 'option_a' hold different",
        ),
        ({"options": {"temperature": 1}, "answer": "K"}, {}, "options has keys that are neither letters nor numbers"),
        ({"options": [{"image": "x"}], "answer": "K"}, {}, "options has keys that are neither"),
        ({"options": ["x", ["y"]], "answer": "A"}, {}, "options has an option that is a list, not text"),
        ({"options": {"A": "x", "a": "y"}, "answer": "A"}, {}, "options has an option's letter or number twice"),
        ({"options": [str(i) + "mg" for i in range(27)], "answer": "1mg"}, {}, "options has more than 26 options"),
        ({"options": 4, "answer": "A"}, {}, "options is a number, not a list or an object of options"),
        ({"options": '["x", ', "answer": "A"}, {}, "options is text that is not JSON"),
        ({"options": ["x", "\ud83d"], "answer": "A"}, {}, "an option in options holds half of a surrogate pair"),
    ],
)
def test_what_is_unclear_is_refused(row: dict[str, Any], columns: dict[str, str], reason: str) -> None:
    assert _reason({"question": QUESTION, **row}, columns).startswith(reason)


def test_options_that_are_something_else_can_be_left_out() -> None:
    row = {"question": "q?", "options": {"temperature": 1}, "A": "x", "B": "y", "answer": "r"}
    assert _said(row, {"options": "-"}) == ("q?", "r")
    for nothing in ({}, [], "", None, ["", None]):
        assert _said({"question": "q?", "options": nothing, "answer": "r"}) == ("q?", "r")


@pytest.mark.parametrize(
    "extra", [{"a": "x"}, {"A": "x", "C": "y"}, {"option_b": "x", "option_c": "y"}, {"A": "x", "B": ""}]
)
def test_a_column_or_two_that_make_no_options_are_named_as_unread(extra: dict[str, str]) -> None:
    found = _read({"question": "q?", "answer": "r", **extra})
    assert found.record.messages[0].content == "q?"
    assert len(found.left) == sum(bool(v) for v in extra.values())


def test_prompts_are_asked_though_the_number_of_the_answer_is_unclear() -> None:
    asked = parse_prompt(Row(1, {"question": QUESTION, "choices": list(TEXTS), "answer": 2}), Path("f"))
    assert (asked.prompt.messages[0].content, asked.reference) == (f"{QUESTION}\n{LINES}", None)
