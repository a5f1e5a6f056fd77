"""Columns with names of their own: the complaint comes once, with a setting to copy that was tried."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from typer.testing import CliRunner

from medicalgpt.cli.data import app
from medicalgpt.data.guess import as_setting, guess_columns
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Kind
from medicalgpt.data.report import detect
from medicalgpt.errors import DataError


@pytest.mark.parametrize(
    ("row", "guess"),
    [
        ({"Question": "q?", "Free_form_answer": "a"}, {"question": "Question", "answer": "Free_form_answer"}),
        ({"patient_query": "q", "doctor": "a", "id": 1}, {"question": "patient_query", "answer": "doctor"}),
        ({"主诉": "咳嗽", "医嘱": "休息"}, {"question": "主诉", "answer": "医嘱"}),
        (
            {"Patient_Statement": "I cough.", "Doctor_Advice": "Rest.", "Topic": "cough"},
            {"question": "Patient_Statement", "answer": "Doctor_Advice"},
        ),
        ({"患者": "咳嗽", "医生": "休息", "科室": "呼吸科"}, {"question": "患者", "answer": "医生"}),
        (
            {"the prompt": "q", "good_reply": "a", "bad_reply": "b"},
            {"question": "the prompt", "chosen": "good_reply", "rejected": "bad_reply"},
        ),
        ({"note_body": "words", "n": 3}, {"text": "note_body"}),
        ({"name": "x", "place": "y"}, {}),
        ({"Question": "q", "Free_form_answer": ""}, {}),
    ],
)
def test_a_guess_from_names_and_contents(row: dict[str, object], guess: dict[str, str]) -> None:
    assert guess_columns([row, row]) == guess


def test_one_complaint_and_a_setting_to_copy(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    row = {"Question": "Zyloprim9?", "Free_form_answer": "Zyloprim9."}
    path.write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
    found = detect(path)
    assert (found.reasons, found.guess) == (
        {"answer is missing": 2},
        {"question": "Question", "answer": "Free_form_answer"},
    )
    assert as_setting(found.guess) == """'data.columns={"question": "Question", "answer": "Free_form_answer"}'"""
    assert detect(path, found.guess).bad == 0


def test_inspect_prints_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medicalgpt.training import inspect as inspection

    path = tmp_path / "a.jsonl"
    path.write_text((json.dumps({"Question": "q", "Free_form_answer": "a"}) + "\n") * 12)
    found = inspection.Inspection([detect(path)], {}, {}, [], [])
    monkeypatch.setattr(inspection, "inspect", lambda *_: found)
    output = CliRunner().invoke(app, ["inspect", str(path)]).output.replace("\n", "")
    assert output.count("answer is missing") == 1
    assert "all 12 rows: answer is missing" in output
    assert """perhaps 'data.columns={"question": "Question", "answer": "Free_form_answer"}'""" in output


ODD = {"Question": "Zyloprim9?", "Free_form_answer": "Zyloprim9."}
SETTING = """; perhaps 'data.columns={"question": "Question", "answer": "Free_form_answer"}'"""


def _stopped(path: Path, rows: list[dict[str, str]], kind: Kind = "dialogue", tail: str = "", **settings: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    with pytest.raises(DataError) as stopped:
        list(read([path], kind, ledger=Ledger(), **settings))
    assert "Zyloprim9" not in str(stopped.value)
    return str(stopped.value)


def test_training_stops_with_a_setting_to_copy(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert _stopped(path, [ODD, ODD]).endswith(SETTING)
    assert _stopped(path, [ODD] * 500).endswith(SETTING)
    assert _stopped(path, [ODD] * 3, on_bad_row="drop").endswith(SETTING)
    assert _stopped(path, [ODD] * 500, on_bad_row="drop").endswith(SETTING)
    assert _stopped(path, [ODD], tail="no JSON").endswith(SETTING)
    assert (
        len(
            list(
                read(
                    [path],
                    "dialogue",
                    columns={"question": "Question", "answer": "Free_form_answer"},
                    ledger=Ledger(),
                    on_bad_row="drop",
                    max_bad_share=0.5,
                )
            )
        )
        == 1
    )


def test_no_setting_where_none_helps(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = {"question": "q?", "answer": "a"}
    assert "perhaps" not in _stopped(path, [good, ODD])
    assert "perhaps" not in _stopped(path, [ODD, good])
    assert "perhaps" not in _stopped(path, [ODD], kind="preference")
    assert "perhaps" not in _stopped(path, [ODD], columns={"answer": "reply"})
    assert "perhaps" not in _stopped(path, [good] + [ODD] * 3, on_bad_row="drop")
    assert "perhaps" not in _stopped(path, [], tail="[]\n")


def test_inspect_prints_what_is_not_read_and_names_with_brackets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medicalgpt.training import inspect as inspection

    ward = tmp_path / "ward [3][b]"
    ward.mkdir()
    line = "Measure the blood pressure at rest, on several days, and write every value down for the next visit.\n"
    (ward / "a [red].txt").write_text(line * 12)
    (ward / "b.docx").write_text("x")
    report = detect(ward / "a [red].txt")
    found = inspection.Inspection([report], {}, {}, [(f"document {ward}:1", Text("x"))], [], {str(ward): {".docx": 1}})
    monkeypatch.setattr(inspection, "inspect", lambda *_: found)
    output = (
        CliRunner().invoke(app, ["inspect", str(ward), "--encoding", "GBK", "--txt", "line"]).output.replace("\n", "")
    )
    assert f"{ward}: 1 not read: 1 × .docx" in output
    assert "ward [3][b]/a [red].txt: a .txt file whose lines look like documents" in output
    assert "data.txt=line reads each line as one" in output


def test_a_table_with_names_of_its_own_gets_a_setting_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("科室,主诉,医嘱\n" + "呼吸科,Zyloprim9咳嗽三天伴低热,多休息多饮水必要时复诊\n" * 3)
    said = """; perhaps 'data.columns={"question": "主诉", "answer": "医嘱"}'"""
    for call in (lambda: detect(path), lambda: list(read([path], "dialogue", ledger=Ledger()))):
        with pytest.raises(DataError) as stopped:
            call()
        assert str(stopped.value).endswith(said)
        assert stopped.value.__context__ is None, "an error of parsing carries the rows"
        assert "Zyloprim9" not in str(stopped.value)
    # A first row that may be data is neither shown nor guessed from.
    path.write_text("咳嗽三天,医嘱多休息\n" * 3)
    with pytest.raises(DataError) as stopped:
        detect(path)
    assert "perhaps" not in str(stopped.value)
    assert "医嘱" not in str(stopped.value)
