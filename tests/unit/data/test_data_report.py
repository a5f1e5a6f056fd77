"""The report says what a file is and never what is in it."""

import gzip
import json
from pathlib import Path

import pytest

from medicalgpt.data.report import detect
from medicalgpt.errors import DataError

ROWS = [
    {"instruction": "Zyloprim9", "input": "", "output": "a"},
    {"instruction": "Zyloprim9", "output": ""},
    {"messages": [{"role": "user", "content": "Zyloprim9"}, {"role": "assistant", "content": "b\ufffd"}]},
    {"instruction": "Zyloprim9", "output": None},
    {"instruction": "Zyloprim9", "output": "c"},
]


def test_report_of_a_mixed_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join([*map(json.dumps, ROWS), "{Zyloprim9"]).encode("utf-8-sig")))
    report = detect(path)
    assert (report.path, report.type, report.encoding, report.compression) == (str(path), ".jsonl", "utf-8-bom", "gzip")
    assert (report.shape, report.kind, report.shapes) == ("alpaca", "dialogue", {"alpaca": 2, "messages": 1})
    assert report.columns == ("instruction", "input", "output", "messages")
    assert (report.rows, report.bad, report.replacement_rows) == (6, 3, 1)
    assert report.bad_rows == ((2, "output is blank"), (4, "output is null"), (6, "not valid JSON"))
    assert report.reasons == {"output is blank": 1, "output is null": 1, "not valid JSON": 1}
    assert "Zyloprim9" not in repr(report)


def test_report_of_a_table_by_position(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes("医学\t患者应该按时服药，不要自行停药。\n".encode("gb18030"))
    report = detect(path, {"text": "1"})
    assert (report.encoding, report.shape, report.columns, report.rows) == ("gb18030", "document", ("0", "1"), 1)


def test_report_of_a_text_file_has_no_columns(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# words")
    report = detect(tmp_path / "a.md")
    assert (report.shape, report.kind, report.columns, report.rows) == ("document", "document", (), 1)


def test_report_of_a_file_without_a_usable_row(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"name": "x"}]')
    report = detect(tmp_path / "a.json")
    assert (report.shape, report.kind, report.rows, report.bad) == ("", None, 1, 1)


def test_what_is_no_file_of_rows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    with pytest.raises(DataError, match="the file is empty"):
        detect(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="this is a folder"):
        detect(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        detect(tmp_path / "b.jsonl")
