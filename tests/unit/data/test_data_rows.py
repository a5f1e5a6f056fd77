"""Rows come one at a time out of every file type, and a broken file is placed on its line."""

import contextlib
import csv
import gzip
import io
import itertools
import json
import struct
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.report import detect
from medicalgpt.data.rows import Reading, Row, json_object, json_text, json_values, open_rows, whole_text
from medicalgpt.errors import DataError


def _rows(path: Path, content: str | bytes, columns: dict[str, str] | None = None) -> list[Row]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(open_rows(path, columns or {}))


def _fields(path: Path, content: str | bytes, columns: dict[str, str] | None = None) -> list[Any]:
    return [row.fields for row in _rows(path, content, columns)]


def test_jsonl_rows_are_lines_and_a_bad_line_does_not_end_the_file(tmp_path: Path) -> None:
    rows = _rows(tmp_path / "a.jsonl", '{"a": 1}\r\n\n{"a": 2,}\n[1]\n7\n{"n": ' + "9" * 5000 + '}\n{"a": "x\u2028y"}')
    assert [(r.number, r.fields, r.problem) for r in rows] == [
        (1, {"a": 1}, ""),
        (3, None, "not valid JSON"),
        (4, None, "a JSON list, not an object (a file that is one list of rows is named .json)"),
        (5, None, "JSON, but not an object"),
        (6, None, "not usable JSON"),
        (7, {"a": "x\u2028y"}, ""),
    ]
    assert "column 9" in rows[1].where


def test_jsonl_that_is_a_list_gets_a_hint(tmp_path: Path) -> None:
    assert "is named .json" in _rows(tmp_path / "a.jsonl", '[\n{"a": 1}\n]')[0].where


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 16, 1 << 20])
def test_json_lists_and_objects_in_any_chunking(tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "CHUNK", chunk)
    values = [{"a": 'quo"te \\ 🩺', "b": [1, -2.5e10, None, True, {"c": "]}"}]}, {}, {"a": "血压\n" * 30}]
    texts = json.dumps(values), json.dumps(values, indent=2, ensure_ascii=False), f" \n{json.dumps(values)}\n"
    for text in texts:
        assert _fields(tmp_path / "a.json", text) == values
    assert _fields(tmp_path / "b.json", "\n".join(json.dumps(v, indent=1) for v in values)) == values
    assert _fields(tmp_path / "c.json.gz", gzip.compress(json.dumps(values).encode("utf-16"))) == values
    rows = _rows(tmp_path / "d.json", '[12345, {"a": 1}, "x", [2]]')
    assert [(r.number, r.fields) for r in rows] == [(1, None), (2, {"a": 1}), (3, None), (4, None)]
    assert _rows(tmp_path / "e.json", " [ ] ") == []


@pytest.mark.parametrize("chunk", [1, 1 << 20])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[\n{"a": 1},\n{"a": tru}\n]', ":3: not valid JSON: Expecting value"),
        ('[\n{"a": 1}\n{"a": 2}]', ":3: not valid JSON: expecting ',' or ']' after row 1"),
        ('[{"a": 1},\n]', ":2: not valid JSON"),
        ('[{"a": 1}', ":1: not valid JSON: expecting ',' or ']' after row 1"),
        ('[{"a": "x', ":1: not valid JSON: Unterminated string"),
        ('[{"a": 1}]\n\nx', ":3: not valid JSON: more text after the closing ']'"),
        ('{"a": 1}\n{"a" 2}', ":2: not valid JSON: Expecting ':'"),
        ('"hello"', ":1: not valid JSON: it begins with neither"),
    ],
)
def test_broken_json_is_placed_on_its_line(
    tmp_path: Path, text: str, place: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_values, "CHUNK", chunk)
    with pytest.raises(DataError) as error:
        _rows(tmp_path / "a.json", text)
    assert f"a.json{place}" in str(error.value)


class _CountingText(io.StringIO):
    given = 0

    def read(self, size: int | None = -1) -> str:
        text = super().read(size)
        self.given += len(text)
        return text


@pytest.mark.parametrize(
    ("text", "rows", "error"),
    [
        ('[{"a": 1}, ' + '{"a": "x"}, ' * 300_000 + '{"a": oops', 2, None),
        ('[{"a": oops}, ' + '{"a": "x"}, ' * 300_000 + '{"a": 1}]', 0, ":1: not valid JSON: Expecting value"),
    ],
)
def test_neither_rows_nor_an_early_error_read_ahead_more_than_a_chunk(
    tmp_path: Path, text: str, rows: int, error: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = _CountingText(text)
    monkeypatch.setattr(json_text, "open_text", lambda path, **_: contextlib.nullcontext(opened))
    reader = json_text.json_rows(tmp_path / "a.json")
    assert len(list(itertools.islice(reader, rows))) == rows
    if error:
        with pytest.raises(DataError, match=error):
            next(reader)
    assert opened.given == 1 << 20
    assert len(text) > 3 << 20


PAIRS = [{"question": f"Is {n} mg of folic acid a usual dose?", "answer": "Yes."} for n in range(5)]


@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
@pytest.mark.parametrize("held", [0, 60, 1 << 24])
def test_one_object_around_the_rows(tmp_path: Path, chunk: int, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "CHUNK", chunk)
    monkeypatch.setattr(json_object, "HELD", held)
    for whole in (
        {"version": "1", "authors": ["x", "y"], "data": PAIRS},
        {"data": PAIRS, "license": {"id": 3}, "empty": []},
        {f"id-{n}": pair for n, pair in enumerate(PAIRS)},
    ):
        for text in (json.dumps(whole), json.dumps(whole, indent=1) + "\n"):
            rows = _rows(tmp_path / "a.json", text)
            assert [(row.number, row.fields) for row in rows] == list(enumerate(PAIRS, 1))
    rows = _rows(tmp_path / "a.json", json.dumps({"items": [PAIRS[0], 7, PAIRS[1]]}))
    assert [(row.number, row.fields) for row in rows] == [(1, PAIRS[0]), (2, None), (3, PAIRS[1])]
    # Two rows under one key are two rows.
    assert _fields(tmp_path / "a.json", '{"x": {"text": "a"}, "x": {"text": "b"}}') == [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize("held", [0, 1 << 24])
def test_one_object_that_is_a_row(tmp_path: Path, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_object, "HELD", held)
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}]
    for row in (
        {"messages": turns, "notes": [{"a": 1}, {"b": 2}]},
        PAIRS[0],
        {"id": 1},
        {},
        {"a": 1, "b": {"c": [[1]]}},
    ):
        assert _fields(tmp_path / "a.json", json.dumps(row)) == [row]
    row = {"visit": turns, "n": 3}
    assert _fields(tmp_path / "a.json", json.dumps(row), {"messages": "Visit"}) == [row]
    # Objects one after another are rows, whatever is in them.
    rows = [{"a": {"b": 1}}, {"c": [{"d": 1}]}, {"e": 1}]
    if held:
        assert _fields(tmp_path / "a.json", "\n".join(map(json.dumps, rows))) == rows


@pytest.mark.parametrize("held", [0, 1 << 24])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"train": [{"a": 1}], "test": [{"a": 2}]}', "one object with several lists of objects (train, test)"),
        ('{"train": [{"a": 1}], "train": [{"a": 2}]}', "one object with several lists of objects (train, train)"),
        ('{"data": [{"a": 1}, {"b": oops}]}', "not valid JSON: Expecting value"),
        ('{"data": [{"a": 1}]', "not valid JSON: Expecting ',' delimiter"),
        ('{"data": [{"a": 1} {"a": 1}]}', "not valid JSON: expecting ',' or ']' after row 1"),
        ('{"a": 1,}', "not valid JSON: Expecting property name enclosed in double quotes"),
        ('{"a" 1}', "not valid JSON: Expecting ':' delimiter"),
    ],
)
def test_one_object_that_cannot_be_read(
    tmp_path: Path, text: str, said: str, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_object, "HELD", held)
    with pytest.raises(DataError) as error:
        _rows(tmp_path / "a.json", text)
    assert said in str(error.value)


def test_rows_of_a_large_object_come_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_object, "HELD", 1 << 16)
    for text in (
        '{"data": [' + ", ".join(f'{{"text": "{n}"}}' for n in range(200_000)) + "]}",
        "{" + ", ".join(f'"{n}": {{"text": "{n}"}}' for n in range(200_000)) + "}",
    ):
        opened = _CountingText(text)
        monkeypatch.setattr(json_text, "open_text", lambda *_, opened=opened, **__: contextlib.nullcontext(opened))
        reader = json_text.json_rows(tmp_path / "a.json")
        assert [row.fields for row in itertools.islice(reader, 3)] == [{"text": str(n)} for n in range(3)]
        assert opened.given == 1 << 20
        assert len(text) > 3 << 20


def test_csv_with_header_multi_line_cells_and_quotes(tmp_path: Path) -> None:
    rows = _rows(
        tmp_path / "a.csv",
        '\ufeffid,Question,answer\r\n1,"line one\r\nline ""two""",yes\r\n\r\n2,q,a,,\r\n3,only two\r\n4,a,b,c\r\n',
    )
    assert [(r.number, r.line, r.fields, r.problem) for r in rows] == [
        (1, 2, {"id": "1", "Question": 'line one\r\nline "two"', "answer": "yes"}, ""),
        (2, 5, {"id": "2", "Question": "q", "answer": "a"}, ""),
        (3, 6, {"id": "3", "Question": "only two", "answer": ""}, ""),
        (4, 7, None, "more cells than columns"),
    ]
    assert [bool(row.note) for row in rows] == [False, False, True, False]
    assert rows[3].where == "4 cells, the table has 3 columns"


def test_cells_longer_than_the_csv_module_allows_by_itself(tmp_path: Path) -> None:
    assert _fields(tmp_path / "a.csv", "text\n" + "x" * 200_000) == [{"text": "x" * 200_000}]


def test_the_csv_modules_own_limit_is_back_between_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("question,answer\n" + f"why,{'a' * 200_000}\n" * 2 + 'how,"open\n')
    before = csv.field_size_limit()
    rows = open_rows(file, {})
    for _ in range(2):
        assert len(next(iter(rows)).fields["answer"]) == 200_000  # type: ignore[index]
        assert csv.field_size_limit() == before
    with pytest.raises(DataError, match="cannot be read"):
        next(iter(rows))
    assert csv.field_size_limit() == before


def test_a_quote_that_never_closes_is_an_error_not_one_huge_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv:3: the record that begins here cannot be read"):
        _rows(tmp_path / "a.csv", 'text,id\na,1\n"b,2\nc,3\nd,4\n')


def test_tsv_without_header_by_position(tmp_path: Path) -> None:
    content = '"阿司匹林" 的用法\t医学\n肝炎\t"医学\n'
    expected = [{"0": '"阿司匹林" 的用法', "1": "医学"}, {"0": "肝炎", "1": '"医学'}]
    assert _fields(tmp_path / "a.tsv", content, {"text": "0"}) == expected
    with pytest.raises(DataError, match=r"asks for column 2, but rows have 2 cells; .* named 0 to 1"):
        _rows(tmp_path / "a.tsv", content, {"text": "2"})


def test_positions_do_not_take_a_first_row_for_a_header_by_accident(tmp_path: Path) -> None:
    assert _fields(tmp_path / "a.tsv", "some words\t0\nmore words\t1\n", {"text": "0"}) == [
        {"0": "some words", "1": "0"},
        {"0": "more words", "1": "1"},
    ]
    assert _fields(tmp_path / "b.csv", "0,1\nsome words,x\n", {"text": "0"}) == [{"0": "some words", "1": "x"}]


def test_tsv_in_spreadsheet_quoting(tmp_path: Path) -> None:
    assert _fields(tmp_path / "a.tsv", 'text\tid\n"two\nlines\tand a tab"\t1\n') == [
        {"text": "two\nlines\tand a tab", "id": "1"}
    ]
    assert _fields(tmp_path / "b.tsv", 'text\tid\n"a ""word"""\t1\nplain\t2\n')[0] == {"text": 'a "word"', "id": "1"}
    assert _fields(tmp_path / "c.tsv", 'text\n"two\nlines"\n') == [{"text": "two\nlines"}]


def test_a_table_without_known_names_says_which_it_has(tmp_path: Path) -> None:
    body = "a long description of what happened to somebody,and a long reply to it as well\n"
    with pytest.raises(DataError, match=r"no column has a name we know: complaint, advice; .*data\.columns="):
        _rows(tmp_path / "a.csv", "complaint,advice\n" + body)
    assert len(_rows(tmp_path / "a.csv", "complaint,advice\n" + body, {"question": "complaint"})) == 1


@pytest.mark.parametrize("first", ["John Smith,flu", "张三,45", "he coughs a lot and has had a fever for two days,flu"])
def test_a_first_row_that_may_be_a_patient_is_not_shown(tmp_path: Path, first: str) -> None:
    with pytest.raises(DataError) as error:
        _rows(tmp_path / "a.csv", f"{first}\nJane Doe,cough\n")
    assert "2 columns (not shown" in str(error.value)
    said = str(error.value).replace(str(tmp_path), "")  # the folder has a number of its own
    assert not any(cell in said for cell in first.split(","))


def test_a_column_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the column 'text' appears twice"):
        _rows(tmp_path / "a.csv", "text,Text\na,b\n")
    assert _fields(tmp_path / "b.csv", "text,,\na,b,c\n") == [{"text": "a", "": "c"}]


def test_parquet_plain_and_gzipped(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": "咳嗽"}], "n": i} for i in range(600)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    assert _fields(tmp_path / "a.parquet", content) == rows
    assert _fields(tmp_path / "b.parquet.gz", gzip.compress(content)) == rows
    with pytest.raises(DataError, match=r"c\.parquet: not a readable Parquet file"):
        _rows(tmp_path / "c.parquet", content[:200])


def test_a_text_file_is_one_row_and_no_content_is_none(tmp_path: Path) -> None:
    assert _rows(tmp_path / "a.md", "# Title\r\n\r\nWords.\r\n") == [Row(1, {"text": "# Title\n\nWords.\n"})]
    assert _rows(tmp_path / "b.txt", "") == []


def test_a_large_text_file_is_cut_at_blank_lines_and_nothing_is_lost(tmp_path: Path) -> None:
    paragraph = ("Text about the heart, of some length. " * 20).strip() + "\n\n"
    text = paragraph * 2000
    assert len(text) > whole_text.WHOLE_FILE_LIMIT
    rows = _rows(tmp_path / "a.txt", text)
    texts = [str((row.fields or {})["text"]) for row in rows]
    assert "".join(texts) == text
    assert all(whole_text.PIECE <= len(t) < whole_text.PIECE + len(paragraph) for t in texts[:-1])
    assert all(t.endswith("\n\n") for t in texts)
    lines = text.split("\n")
    assert all(lines[row.number - 1].startswith("Text about") for row in rows)
    assert rows[1].number == 1 + texts[0].count("\n")


def test_a_large_text_file_without_breaks_stays_bounded(tmp_path: Path) -> None:
    text = "心" * (whole_text.WHOLE_FILE_LIMIT + 5)
    texts = [str((row.fields or {})["text"]) for row in _rows(tmp_path / "a.txt", text)]
    assert "".join(texts) == text
    assert max(map(len, texts)) == 4 * whole_text.PIECE


LINED = (
    "High blood pressure seldom causes symptoms, so it is found by measuring it at rest on several days.",
    "血压应在安静休息五分钟之后测量，测量前半小时内不要吸烟、喝咖啡或者运动，并且把手臂放在与心脏同高的位置，每次连续测两遍取平均值，还要记下测量的时间。",
)


def _lines_file(path: Path, between: str = "\n", count: int = 12) -> Path:
    path.write_text(between.join(LINED[i % 2] for i in range(count)) + "\n", encoding="utf-8")
    return path


def test_a_document_a_line_is_noticed_and_read_so_on_request(tmp_path: Path) -> None:
    path = _lines_file(tmp_path / "a.txt")
    (row,) = open_rows(path, {})
    assert "data.txt=line" in row.note
    ledger = Ledger()
    assert len(list(read([path], "document", ledger=ledger))) == 1
    assert ledger.as_dict()["warnings"] == {row.note: 1}
    assert detect(path).notes == (row.note,)
    by_line = Reading(txt="line")
    path.write_text(path.read_text(encoding="utf-8").replace("\n", "\n\n", 1), encoding="utf-8")
    rows = list(open_rows(path, {}, by_line))
    assert [(row.number, row.note) for row in rows] == [(n, "") for n in (1, *range(3, 14))]
    assert [row.fields for row in rows[:2]] == [{"text": text} for text in LINED]
    assert detect(path, reading=by_line).rows == 12


@pytest.mark.parametrize(
    "text",
    [
        "\n\n".join(LINED * 6),  # paragraphs
        "\n".join(LINED * 3),  # few of them
        "Take the tablet in the morning with a full glass of water and stay upright\nfor half an hour; "
        "do not lie down before you have eaten something\n" * 30,  # wrapped at a margin
        "Fever\nCough\nRash\n" * 30,
    ],
)
def test_other_text_is_no_document_a_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert [row.note for row in open_rows(tmp_path / "a.txt", {})] == [""]


def test_markdown_is_a_document_whatever_its_lines(tmp_path: Path) -> None:
    path = _lines_file(tmp_path / "a.md")
    assert [row.note for row in open_rows(path, {}, Reading(txt="line"))] == [""]


def test_a_large_file_of_lines_says_so_once(tmp_path: Path) -> None:
    path = _lines_file(tmp_path / "a.txt", count=15_000)
    rows = list(open_rows(path, {}))
    assert len(rows) > 2
    assert [bool(row.note) for row in rows] == [True] + [False] * (len(rows) - 1)
    assert len(list(open_rows(path, {}, Reading(txt="line")))) == 15_000


def test_what_a_parquet_column_holds_does_not_spoil_the_others(tmp_path: Path) -> None:
    bad = pyarrow.Array.from_buffers(
        pyarrow.string(), 2, [None, pyarrow.py_buffer(struct.pack("3i", 0, 2, 4)), pyarrow.py_buffer(b"ab\xff\xfe")]
    )
    columns = {
        "text": pyarrow.array(["Rest and drink.", "Wash your hands."]),
        "note": bad,
        "seen": pyarrow.array([1_700_000_000_123_456_789, None], pyarrow.timestamp("ns", "Mars/Base")),
        "at": pyarrow.array([10**15, 0], pyarrow.timestamp("s")),
        "code": pyarrow.array(["J11", "J11"]).dictionary_encode(),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    ledger = Ledger()
    records = list(read([tmp_path / "a.parquet"], "document", ledger=ledger))
    assert [record.text for record in records] == ["Rest and drink.", "Wash your hands."]  # type: ignore[union-attr]
    unread = {name: rows for (_, name), rows in ledger.unread.items()}
    assert unread == {"note": 2, "seen": 1, "at": 2, "code": 2}
    pyarrow.parquet.write_table(pyarrow.table({"text": bad}), tmp_path / "b.parquet")
    report = detect(tmp_path / "b.parquet")
    assert (report.rows, report.reasons) == (2, {"text is bytes, not text": 1})


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table({"text": [f"Wash your hands {i} times." for i in range(999)]}), path, compression="none"
    )
    data = path.read_bytes()
    path.write_bytes(data[:200] + b"\xff" * 200 + data[400:])
    with pytest.raises(DataError, match=r"a\.parquet: not a readable Parquet file"):
        list(open_rows(path, {}))
