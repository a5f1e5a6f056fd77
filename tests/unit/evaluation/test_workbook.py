"""Questions from Excel: cells as Excel shows them, one sheet, nothing lost without a word, and bounded."""

import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from medicalgpt.config.evaluation import NamedTest
from medicalgpt.data.documents import package
from medicalgpt.data.rows import workbook
from medicalgpt.data.rows.workbook import workbook_rows
from medicalgpt.errors import DataError
from medicalgpt.evaluation.items import Item, read_items

HEAD = ["question", "A", "B", "C", "answer", "ward"]
ROWS: list[list[Any]] = [
    HEAD,
    ["How many grams of salt a day at most?", 5, 12.5, 30, "A", "diet"],
    ["Share of the blood's plasma?", 0.55, 0.2, 0.1, "A", "blood"],
    [None] * 6,
    ["Is asthma contagious?", True, False, None, "B", None],
]


def save(path: Path, rows: list[list[Any]], **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    first = book.active
    assert first is not None
    for row in rows:
        first.append(row)
    for name, more in sheets.items():
        sheet = book.create_sheet(name)
        for row in more:
            sheet.append(row)
    for row in first.iter_rows(min_row=3, max_row=3, min_col=2, max_col=4):
        for cell in row:
            cell.number_format = "0%"
    book.save(path)
    return path


def read(path: Path, sheet: str | None = None, **more: Any) -> list[Item]:
    facts = {"name": "own", "title": "Own", "license": "ours", "origin": "here", "language": "en", "group": "hospital"}
    facts |= {"files": [{"path": "own.xlsx", "sheet": sheet}], "columns": {"subject": "ward"}, "answer_is": "letter"}
    return read_items(NamedTest.model_validate(facts | more), {"own.xlsx": path})


def test_cells_are_what_excel_shows(tmp_path: Path) -> None:
    salt, plasma, asthma = read(save(tmp_path / "own.xlsx", ROWS, empty=[]))
    assert (salt.options, salt.gold, salt.subject) == (("5", "12.5", "30"), (0,), "diet")
    assert plasma.options == ("55%", "20%", "10%")
    assert (asthma.options, asthma.gold, asthma.subject) == (("TRUE", "FALSE"), (1,), "")
    assert asthma.where.endswith("own.xlsx:3")


@pytest.mark.parametrize(
    ("answer", "how", "gold"),
    [
        ("A、C", "letter", (0, 2)),
        (2, "from_1", (1,)),
        (2.0, "from_0", (2,)),
        ("1, 3", "from_1", (0, 2)),
        (30, "text", (2,)),
    ],
)
def test_answers_in_every_form(tmp_path: Path, answer: object, how: str, gold: tuple[int, ...]) -> None:
    (item,) = read(save(tmp_path / "own.xlsx", [HEAD, ["Salt?", 5, 12.5, 30, answer, "diet"]]), answer_is=how)
    assert item.gold == gold


def test_which_sheet(tmp_path: Path) -> None:
    other = [HEAD, ["Which organ makes insulin?", "Liver", "Spleen", "Pancreas", "C", "gland"]]
    path = save(tmp_path / "own.xlsx", ROWS, gland=other)
    assert [item.gold for item in read(path, "gland")] == [(2,)]
    with pytest.raises(DataError, match=r"several sheets hold rows \(Sheet, gland\); say which with `sheet`"):
        read(path)
    with pytest.raises(DataError, match="no sheet is called 'heart'; it has: Sheet, gland"):
        read(path, "heart")
    assert len(read(save(tmp_path / "only.xlsx", [], gland=other))) == 1  # the first one is empty


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("=1+2", "B2 is a formula that was never calculated"),
        ("#N/A", "B2 holds an error, #N/A"),
        (date(2026, 5, 3), "an option that is datetime, not text"),  # typed as 5-3
        (None, "an option in the midst of others is blank"),
    ],
)
def test_a_cell_without_a_value_stops_the_test(tmp_path: Path, cell: object, message: str) -> None:
    row = ["Salt?", cell, 12.5, 30, "B", "diet"]
    with pytest.raises(DataError, match=r"own\.xlsx:1 \(line 2\): ") as error:
        read(save(tmp_path / "own.xlsx", [HEAD, row]))
    assert message in str(error.value)
    assert "Salt" not in str(error.value)


def test_formulas_are_their_last_values(tmp_path: Path) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(str(tmp_path / "own.xlsx")) as book:
        sheet = book.add_worksheet()
        for line, cells in enumerate([HEAD, ["Salt?", "5", "12", "30", "B", "diet"]]):
            sheet.write_row(line, 0, cells)
        sheet.write_formula(1, 1, "=CONCAT(2,3)", None, "23")
    (item,) = read(tmp_path / "own.xlsx")
    assert item.options == ("23", "12", "30")


def test_cells_beyond_the_header_and_a_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"more cells than columns \(7 cells, 6 columns\)"):
        read(save(tmp_path / "own.xlsx", [HEAD, ["Salt?", 5, 12, 30, "B", "diet", "a note"]]))
    whole = (tmp_path / "own.xlsx").read_bytes()
    for content in (b"", b"question,A,B", b"\xd0\xcf\x11\xe0" * 200, whole[: len(whole) // 2]):
        (tmp_path / "own.xlsx").write_bytes(content)
        with pytest.raises(DataError, match=r"not a readable \.xlsx workbook"):
            read(tmp_path / "own.xlsx")
    with zipfile.ZipFile(tmp_path / "own.xlsx", "w") as archive:
        archive.writestr("something.txt", "else")
    with pytest.raises(DataError, match=r"not a readable \.xlsx workbook"):
        read(tmp_path / "own.xlsx")
    (tmp_path / "own.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(DataError, match="this file type holds no questions"):
        read(tmp_path / "own.xls")


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "own.xlsx", ROWS)
    monkeypatch.setattr(package, "MOST_BYTES", 1000)
    with pytest.raises(DataError, match="save the sheet as"):
        read(path)


def test_a_far_away_cell_is_no_reason_to_hold_a_whole_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["question", "A", "B", "answer"])
    sheet.append(["Salt?", "5", "12", "A"])
    sheet["A40000"] = "Sugar?"
    book.save(tmp_path / "own.xlsx")
    rows = list(workbook_rows(tmp_path / "own.xlsx", {}))
    assert [(row.number, row.line) for row in rows] == [(1, 2), (2, 40000)]
    monkeypatch.setattr(workbook, "MOST_ROWS", 1000)
    with pytest.raises(DataError, match="more than 1,000 rows"):
        list(workbook_rows(tmp_path / "own.xlsx", {}))


def test_without_openpyxl_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "own.xlsx", ROWS)
    monkeypatch.setattr(workbook, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'medicalgpt\[documents\]'"):
        read(path)
