"""JSON files that hold their rows as columns, as cells, under keys or nested: read where they are plain, else named."""

import json
from pathlib import Path
from typing import Any

import pytest

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue
from medicalgpt.data.report import detect
from medicalgpt.data.rows import Row, json_object, json_values, open_rows
from medicalgpt.errors import DataError
from medicalgpt.generate.rows import read_rows

PAIRS: list[dict[str, Any]] = [
    {"question": f"Is {n} mg of folic acid a usual dose?", "answer": None if n == 1 else "Yes."} for n in range(3)
]
NAMES = ["question", "answer"]
CELLS = [list(pair.values()) for pair in PAIRS]
ORIENTS: dict[str, Any] = {
    "records": PAIRS,
    "list": {name: [pair[name] for pair in PAIRS] for name in NAMES},
    "columns": {name: {str(i): pair[name] for i, pair in enumerate(PAIRS)} for name in NAMES},
    "named columns": {name: {f"p{i}": pair[name] for i, pair in enumerate(PAIRS)} for name in NAMES},
    "index": {str(i): pair for i, pair in enumerate(PAIRS)},
    "split": {"columns": NAMES, "index": [0, 1, 2], "data": CELLS},
    "tight": {"index": [0, 1, 2], "columns": NAMES, "data": CELLS, "index_names": [None], "column_names": [None]},
    "table": {"schema": {"fields": [{"name": "index"}], "pandas_version": "1.4.0"}, "data": PAIRS},
    "lists below names": [NAMES, *CELLS],
    "keyed": {"version": "1", "data": {f"id-{i}": pair for i, pair in enumerate(PAIRS)}},
    "keyed alone": {"data": {f"id-{i}": pair for i, pair in enumerate(PAIRS)}},
}


def _rows(path: Path, value: object, columns: dict[str, str] | None = None) -> list[Row]:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return list(open_rows(path, columns or {}))


@pytest.mark.parametrize("chunk", [7, 1 << 20])
@pytest.mark.parametrize("held", [100, 1 << 24])
@pytest.mark.parametrize("orient", ORIENTS)
def test_rows_in_any_orientation(
    orient: str, held: int, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_values, "CHUNK", chunk)
    monkeypatch.setattr(json_object, "HELD", held)
    rows = _rows(tmp_path / "a.json", ORIENTS[orient])
    assert [(row.number, row.fields) for row in rows] == list(enumerate(PAIRS, 1))


def test_names_that_nobody_knows_are_still_columns(tmp_path: Path) -> None:
    """So that what is in them can be guessed, and `data.columns` can say it."""
    frame = {"Frage": {"0": "Was ist Fieber?", "1": "Wie lange?"}, "Antwort": {"0": "Über 38 °C.", "1": "Drei Tage."}}
    path = tmp_path / "a.json"
    assert _rows(path, frame)[1].fields == {"Frage": "Wie lange?", "Antwort": "Drei Tage."}
    assert _rows(path, {"Q": ["a?", "b?"], "R": ["a", "b"]}, {"question": "q"})[1].fields == {"Q": "b?", "R": "b"}
    table = [["Was ist Fieber?", "Über 38 °C."], ["Wie lange?", "Drei Tage."]]
    assert _rows(path, table, {"question": "0", "answer": "1"})[1].fields == {"0": "Wie lange?", "1": "Drei Tage."}
    assert _rows(path, [["Q", "R"], *table], {"question": "q", "answer": "r"})[0].fields == dict(
        zip(("Q", "R"), table[0])
    )


ARTICLE = {
    "title": "Folate",
    "paragraphs": [
        {
            "context": "Folic acid prevents neural tube defects.",
            "qas": [
                {
                    "id": "1",
                    "question": "What does it prevent?",
                    "answers": [{"text": "neural tube defects", "answer_start": 20}],
                },
                {"id": "2", "question": "What is it?", "answers": [{"text": "folic acid"}, {"text": "an acid"}]},
            ],
        },
        {"context": "Warfarin.", "qas": [{"id": "3", "question": "A dose?", "is_impossible": True, "answers": []}]},
    ],
}


@pytest.mark.parametrize("held", [800, 1 << 24])
@pytest.mark.parametrize(
    "whole", [{"version": "1.1", "data": [ARTICLE, ARTICLE]}, [ARTICLE, ARTICLE], f"{json.dumps(ARTICLE)}\n" * 2]
)
def test_squad(whole: object, held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_object, "HELD", held)
    path = tmp_path / "a.json"
    rows = _rows(path, whole)
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0].fields == {
        "context": "Folic acid prevents neural tube defects.",
        "id": "1",
        "question": "What does it prevent?",
        "answer": "neural tube defects",
    }
    ledger = Ledger()
    found = list(read([path], "dialogue", on_bad_row="drop", max_bad_share=0.5, ledger=ledger))
    assert isinstance(found[0], Dialogue)
    assert [turn.content for turn in found[0].messages] == [
        "What does it prevent?\nFolic acid prevents neural tube defects.",
        "neural tube defects",
    ]
    assert len(found) == 4
    assert ledger.warnings == {"a SQuAD question has several answers, of which the first is read": 2}
    assert sum(ledger.seen.values()) == 6
    assert len(list(read_rows(path))) == 6


def test_a_line_that_is_an_article_says_so(tmp_path: Path) -> None:
    (row,) = _rows(tmp_path / "a.jsonl", ARTICLE)
    assert row.problem == "a SQuAD article, which holds many questions (a file of such is named .json)"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            {"question": ["a", "b"], "answer": ["c"]},
            "one object of columns that differ in length (question: 2, answer: 1)",
        ),
        (
            {"text": {"0": "a"}, "title": {"0": "b", "1": "c"}},
            "columns whose values have different keys (text: 1, title: 2)",
        ),
        (
            {"train": {"a": PAIRS[0]}, "test": {"b": PAIRS[0]}},
            "one object with several objects of objects (train, test), and which",
        ),
    ],
)
def test_what_is_no_table_is_named(value: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        _rows(tmp_path / "a.json", value)
    assert said in str(error.value)


def test_lists_without_names_say_what_to_do(tmp_path: Path) -> None:
    (reason,) = {row.problem for row in _rows(tmp_path / "a.json", CELLS)}
    assert "needs a first one with the columns' names, or names by position: data.columns={" in reason
    rows = _rows(tmp_path / "a.json", [NAMES, ["q", "r"], ["q"], 7])
    assert [row.problem for row in rows] == ["", "another number of cells than columns", "no list among lists"]


TURNS = [{"role": "user", "content": "Is 38 °C a fever?"}, {"role": "assistant", "content": "Yes."}]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": TURNS, "notes": [{"a": 1}, {"b": 2}]},
        {"chosen": TURNS, "rejected": [TURNS[0], {"role": "assistant", "content": "No."}]},
        {"chosen": TURNS[1], "rejected": {"role": "assistant", "content": "No."}},
        {"input": {"messages": TURNS[:1]}},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
    ],
)
def test_one_row_of_lists_or_objects_stays_one_row(row: object, tmp_path: Path) -> None:
    assert [found.fields for found in _rows(tmp_path / "a.json", row)] == [row]


def test_a_list_or_column_that_begins_with_null(tmp_path: Path) -> None:
    assert [row.fields for row in _rows(tmp_path / "a.json", [None, {"text": "a"}])] == [None, {"text": "a"}]
    assert [row.fields for row in _rows(tmp_path / "a.json", {"text": [None, "a"]})] == [{"text": None}, {"text": "a"}]
    assert [row.fields for row in _rows(tmp_path / "a.json", {"a": [None, 1], "text": "b"})] == [
        {"a": [None, 1], "text": "b"}
    ]


@pytest.mark.parametrize("value", [{"text": ["long " * 9] * 99}, {"text": {str(i): "long" for i in range(999)}}])
def test_what_must_be_seen_whole_is_bounded(value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_object, "MOST_HELD", 1000)
    with pytest.raises(DataError, match="one object of columns, or one row, with more than"):
        _rows(tmp_path / "a.json", value)


def test_the_report_counts_them_as_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(ORIENTS["split"]), encoding="utf-8")
    report = detect(path)
    assert (report.rows, report.shape, report.columns) == (3, "qa", ("question", "answer"))
