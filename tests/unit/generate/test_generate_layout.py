"""The output of a batch by its name: JSON lines, a list, CSV, TSV, a workbook; other formats are refused by name."""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from medicalgpt.errors import ServeError
from medicalgpt.generate import layout, spreadsheet
from medicalgpt.generate.output import Output

ROWS: list[dict[str, Any]] = [
    {"question": "高血壓?", "response": "=1+1", "stopped": True, "tokens": 4},
    {
        "question": 'a\nb, "c"',
        "response": "- rest\n- drink",
        "stopped": False,
        "tokens": -2,
        "messages": [{"role": "user"}],
    },
    {"question": "+886", "problem": "in.jsonl:3: @x"},
    {"question": "lone \ud83d half", "response": None, "stopped": True, "tokens": 1},
]


def written(target: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    output = Output(target)
    with output:
        output.start({})
        output.write(rows)
        output.finish()
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    return target


@pytest.mark.parametrize(("name", "separator"), [("out.csv", ","), ("out.tsv", "\t"), ("OUT.CSV", ",")])
def test_csv_and_tsv(tmp_path: Path, name: str, separator: str) -> None:
    path = written(tmp_path / name)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf"), "Excel takes UTF-8 without a mark for another encoding"
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.reader(file, delimiter=separator))
    assert table == [
        ["question", "response", "stopped", "tokens", "messages", "problem"],
        ["高血壓?", "'=1+1", "true", "4", "", ""],
        ['a\nb, "c"', "'- rest\n- drink", "false", "-2", '[{"role": "user"}]', ""],
        ["'+886", "", "", "", "", "in.jsonl:3: @x"],
        ["lone \\ud83d half", "", "true", "1", "", ""],
    ]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r=", "＝"])
def test_no_cell_of_a_csv_begins_as_a_formula(tmp_path: Path, begin: str) -> None:
    path = written(tmp_path / "out.csv", [{begin + "a": f'{begin}HYPERLINK("http://x")', "stopped": True}])
    with path.open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert cells[0] == f"'{begin}a"
    assert cells[2].startswith(f"'{begin}HYPER")


def test_a_workbook_holds_text_as_text_and_numbers_as_numbers(tmp_path: Path) -> None:
    long = {"question": "q", "response": "血" * 40_000, "stopped": True}
    path = written(tmp_path / "out.xlsx", [*ROWS, long])
    with zipfile.ZipFile(path) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        found = list(ElementTree.fromstring(sheet).iter("{http://schemas.openxmlformats.org/spreadsheetml/2006/main}c"))
    assert "<f>" not in sheet
    cells = {cell.get("r"): (cell.get("t"), "".join(cell.itertext())) for cell in found}
    assert cells["B2"] == ("inlineStr", "=1+1")
    assert cells["A2"] == ("inlineStr", "高血壓?")
    assert cells["B3"] == ("inlineStr", "- rest\n- drink")
    assert cells["C2"] == ("inlineStr", "true")
    assert cells["D3"] == (None, "-2")
    assert cells["A5"][1] == "lone \\ud83d half"
    assert len(cells["B6"][1]) == spreadsheet.CELL_CHARACTERS
    assert cells["B6"][1].endswith("[cut: 40,000 characters, a cell holds 32,767]")


def test_a_workbook_holds_so_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "WORKBOOK_ROWS", 3)
    with pytest.raises(ServeError, match=r"holds 2 rows.*\.csv"):
        written(tmp_path / "out.xlsx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.xlsx.partial", "out.xlsx.partial.json"], (
        "answers stay"
    )


def test_a_workbook_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "find_spec", lambda name: None)
    with pytest.raises(ServeError, match=r"medicalgpt\[xlsx\].*\.csv"):
        Output(tmp_path / "out.xlsx")


@pytest.mark.parametrize("name", ["out.jsonl", "out.ndjson", "out", "out.txt", "out.v2"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    lines = written(tmp_path / name).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == ROWS


@pytest.mark.parametrize("rows", [ROWS, []])
def test_json_is_one_list(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    text = written(tmp_path / "out.json", rows).read_text(encoding="utf-8")
    assert json.loads(text) == rows


@pytest.mark.parametrize("name", ["a.parquet", "a.xls", "a.jsonl.gz", "a.ODS", "a.pdf"])
def test_other_formats_are_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        ServeError, match=rf"{name}: answers are not written as .*{name[-3:].lower()}; allowed: \.jsonl"
    ):
        Output(tmp_path / name)


def test_a_table_that_was_begun_is_gone_on_with(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    with Output(target) as begun:
        begun.start({"a": 1})
        begun.write(ROWS[:2])
    again = Output(target)
    assert not again.check(resume=True)
    with again:
        assert again.start({"a": 1}) == 2
        again.write(ROWS[2:])
        again.finish()
    other = tmp_path / "other"
    other.mkdir()
    assert target.read_bytes() == written(other / "out.csv").read_bytes()


def test_every_allowed_name_is_told() -> None:
    for name in (".jsonl", ".json", ".csv", ".tsv", ".xlsx"):
        assert name in layout.ALLOWED
