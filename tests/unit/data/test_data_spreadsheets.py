"""Tables as spreadsheet programs write them: workbooks, and CSV with other separators, marks, encodings and line breaks."""

import gzip
import io
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.papers import workbook

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.report import detect
from medicalgpt.data.rows import Row, UnknownHeader, open_rows
from medicalgpt.data.rows.tables import SHORT
from medicalgpt.errors import DataError
from medicalgpt.generate.questions import prompt_rows

HEAD = ("question", "answer", "ward")
ROWS = [
    {"question": "Fever?\nCough?", "answer": 'Say "yes"; or no', "ward": "A"},
    {"question": "发热怎么办", "answer": "多喝水, 休息", "ward": ""},
]


def table(separator: str, line_break: str = "\r\n", head: str = "") -> str:
    cells = [HEAD, *(row.values() for row in ROWS)]
    quoted = ([f'"{c.replace(chr(34), chr(34) * 2)}"' if set(c) & set(',;\t"\n|') else c for c in row] for row in cells)
    return head + "".join(separator.join(row) + line_break for row in quoted)


def fields(path: Path, content: bytes | str, columns: dict[str, str] | None = None) -> list[dict[str, Any] | None]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [row.fields for row in open_rows(path, columns or {})]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("line_break", ["\r\n", "\n"])
def test_separators_encodings_and_line_breaks(tmp_path: Path, separator: str, codec: str, line_break: str) -> None:
    assert fields(tmp_path / "a.csv", table(separator, line_break).encode(codec)) == ROWS


def test_a_first_line_says_the_separator(tmp_path: Path) -> None:
    for said, separator in (("sep=;", ";"), ('"sep=;"', ";"), ("SEP=\t", "\t"), ("sep=^", "^")):
        content = table(separator, head=f"{said}\r\n")
        assert fields(tmp_path / "a.csv", content.encode("utf-8-sig")) == ROWS
        assert fields(tmp_path / "a.tsv", content) == ROWS
    (tmp_path / "b.csv").write_text("sep=;\ntext\na;b\n")
    (row,) = open_rows(tmp_path / "b.csv", {})
    assert (row.number, row.line, row.problem) == (1, 3, "more cells than columns")


def test_names_of_columns_decide_and_else_the_rows_that_agree(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert fields(path, "text\nRest; drink; sleep\n") == [{"text": "Rest; drink; sleep"}]
    assert fields(path, "主诉;医嘱\n发热,咳嗽;多喝水\n", {"question": "主诉", "answer": "医嘱"}) == [
        {"主诉": "发热,咳嗽", "医嘱": "多喝水"}
    ]
    assert fields(path, "a, b;c\nd;e\nf,g,h;i\n", {"text": "0"}) == [
        {"0": "a, b", "1": "c"},
        {"0": "d", "1": "e"},
        {"0": "f,g,h", "1": "i"},
    ]
    with pytest.raises(UnknownHeader, match="no column has a name we know: complaint, advice"):
        fields(
            path,
            "complaint;advice\nhe has had a fever for two days now, and a cough;rest, and a lot to drink every day\n",
        )


def test_blank_cells_that_are_left_out_are_blank_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,answer,ward\nFever?,Rest.\nCough?,Drink.,A,,\nRash?,Wait.,A,B\n")
    ledger = Ledger()
    records = list(read([path], "dialogue", ledger=ledger, on_bad_row="drop", max_bad_share=0.5))
    assert len(records) == 2
    assert ledger.as_dict()["warnings"][SHORT] == 1
    assert ledger.reasons == {("dropped", "more cells than columns"): 1}


def save(path: Path, *sheets: list[list[Any]]) -> Path:
    path.write_bytes(workbook(*sheets))
    return path


QA: list[list[Any]] = [
    ["question", "answer"],
    ["Dose?", 5],
    ["Since?", date(2025, 3, 1)],
    [None, None],
    ["When?", datetime(2025, 3, 1, 8, 30)],
]


def test_a_workbook_is_a_table(tmp_path: Path) -> None:
    path = save(tmp_path / "a.xlsx", QA)
    rows = list(open_rows(path, {}))
    assert [(row.number, row.line) for row in rows] == [(1, 2), (2, 3), (3, 5)]
    assert [row.fields["answer"] for row in rows if row.fields] == ["5", "2025-03-01", "2025-03-01 08:30:00"]
    assert len(list(read([path], "dialogue", ledger=Ledger()))) == 3
    report = detect(path)
    assert (report.type, report.encoding, report.shape, report.rows) == (".xlsx", "binary", "qa", 3)
    assert [row.fields for row in prompt_rows(path)] == [row.fields for row in rows]


def test_sheets_are_counted_on_and_one_that_is_no_table_is_a_bad_row(tmp_path: Path) -> None:
    notes = [
        ["Key", "Meaning of the abbreviations in the other sheets"],
        ["GP", "the practitioner whom one sees first of all"],
    ]
    path = save(tmp_path / "a.xlsx", QA, [], notes, [["text"], ["Wash your hands."]])
    rows = list(open_rows(path, {}))
    assert [(row.number, row.line) for row in rows] == [
        (1, "2 of sheet 1"),
        (2, "3 of sheet 1"),
        (3, "5 of sheet 1"),
        (4, None),
        (5, "2 of sheet 4"),
    ]
    assert rows[3] == Row(4, None, "a sheet none of whose columns has a name we know", "sheet 3 of 4")
    assert rows[4].fields == {"text": "Wash your hands."}
    with pytest.raises(UnknownHeader, match="no column has a name we know"):
        list(open_rows(save(tmp_path / "b.xlsx", notes), {}))


def test_workbooks_lie_in_archives_and_compressed(tmp_path: Path) -> None:
    content = workbook(QA)
    (tmp_path / "b.xlsx.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "ward.zip", "w") as archive:
        archive.writestr("a.xlsx", content)
    assert len(list(read([tmp_path], "dialogue", ledger=Ledger()))) == 6


def test_a_workbook_that_may_grow_is_refused(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook(QA))) as old, zipfile.ZipFile(sink, "w") as new:
        for entry in old.infolist():
            part = old.read(entry)
            if entry.filename == "xl/workbook.xml":
                part = b'<!-- x --><!DOCTYPE d [<!ENTITY a "aaaa">]>' + part
            new.writestr(entry.filename, part)
    (tmp_path / "a.xlsx").write_bytes(sink.getvalue())
    with pytest.raises(DataError, match=r"a\.xlsx: a part that is no XML in UTF-8, or has a document type"):
        detect(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04", r"\.zip, \.xlsx or \.docx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "of Office before 2007"),
        (b"%PDF-1.4", r"\.pdf"),
    ],
)
def test_an_office_file_under_another_name_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.csv: the content is .*{words}"):
        detect(tmp_path / "a.csv")
