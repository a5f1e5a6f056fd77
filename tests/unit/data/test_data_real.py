"""Real medical text, where it lies beside the project: encodings, shapes and counts as found by hand."""

from pathlib import Path

import pytest
from tests.realdata import NEEDS_REAL, REAL

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.report import detect
from medicalgpt.data.split import group_key
from medicalgpt.errors import DataError

pytestmark = NEEDS_REAL


def _file(pattern: str) -> Path:
    return next(REAL.glob(pattern))


def test_gb18030_csv_of_consultations() -> None:
    path = _file("Toyhom*/*.csv")
    report = detect(path)
    assert (report.encoding, report.shape, report.kind, report.rows) == ("gb18030", "qa", "dialogue", 7644)
    assert report.columns == ("department", "title", "ask", "answer")
    ledger = Ledger()
    records = list(read([path], "dialogue", on_bad_row="drop", ledger=ledger))
    ledger.settle(str(path), "kept", rows=len(records))
    ledger.check()
    assert (len(records), ledger.total("dropped")) == (7644, 0)
    assert "高血压" in records[0].messages[0].content  # type: ignore[union-attr]
    assert len({group_key(r) for r in records}) < len(records)  # repeated questions share a group


def test_gb18030_books_are_whole_documents() -> None:
    files = sorted(REAL.glob("xiaopangxia*/*.txt"))
    assert len(files) == 4
    assert {detect(f).encoding for f in files} == {"gb18030"}
    records = list(read(files, "document", ledger=Ledger()))
    assert len(records) == 4
    assert all(r.text.startswith("<篇名>") and "\r" not in r.text for r in records)  # type: ignore[union-attr]


def test_tsv_without_header_and_with_loose_quotes() -> None:
    path = _file("ydli-ai*/benchmark/cls_dcp/dev.tsv")
    with pytest.raises(DataError, match=r"columns \(not shown, as the first row may be data\)"):
        list(read([path], "document", ledger=Ledger()))
    records = list(read([path], "document", columns={"text": "1"}, ledger=Ledger()))
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line]
    assert [r.text for r in records] == [line.split("\t")[1] for line in lines]  # type: ignore[union-attr]


def test_llama_factory_preferences_and_identity() -> None:
    preferences = _file("hiyouga*/data/dpo_zh_demo.json")
    report = detect(preferences)
    assert (report.shape, report.rows, report.bad, report.replacement_rows) == ("preference", 300, 0, 6)
    records = list(read([preferences], "preference", ledger=Ledger()))
    assert sum(r.prompt[0].role == "system" for r in records) == 64  # type: ignore[union-attr]
    assert {r.prompt[-1].role for r in records} == {"user"}  # type: ignore[union-attr]
    identity = detect(_file("hiyouga*/data/identity.json"))
    assert (identity.shape, identity.rows, identity.bad) == ("alpaca", 91, 0)


def test_chapters_in_markdown() -> None:
    folder = REAL / "philschatz+anatomy-book/contents"
    assert len(list(read([folder], "document", ledger=Ledger()))) == len(list(folder.glob("*.md")))


def test_tables_with_other_names_need_columns() -> None:
    path = _file("abachaa+MTS-Dialog/Main-Dataset/*ValidationSet.csv")
    with pytest.raises(DataError, match="ID, section_header, section_text, dialogue; say which column holds what"):
        list(read([path], "dialogue", ledger=Ledger()))
    columns = {"question": "dialogue", "answer": "section_text"}
    assert len(list(read([path], "dialogue", columns=columns, ledger=Ledger()))) == 100
