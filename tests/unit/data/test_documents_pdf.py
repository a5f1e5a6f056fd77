"""PDFs: the text layer page by page, without running lines, with lines joined as they were broken; pictures are an outcome."""

import itertools
from pathlib import Path

import pytest
from tests.papers import MARGIN, Put, Stamped, lines, pdf, refuse

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.report import detect
from medicalgpt.data.rows import Row, open_rows
from medicalgpt.data.rows.documents import PICTURE, UNREADABLE
from medicalgpt.errors import DataError

PICTURE_PAGE = bytes(range(64))


def rows(path: Path, pages: list[list[Put] | bytes | Stamped]) -> list[Row]:
    path.write_bytes(pdf(pages))
    return list(open_rows(path, {}))


def text(path: Path, *pages: list[Put]) -> str:
    (row,) = rows(path, list(pages))
    assert row.fields is not None
    return str(row.fields["text"])


WRAPPED = (
    "Most patients with community-acquired pneumonia who are other-",
    "wise well can be managed at home with oral amoxicillin, and it",
    "is enough to see them again after two or three days of this.",
)


def test_lines_are_joined_and_words_mended(tmp_path: Path) -> None:
    found = text(tmp_path / "a.pdf", lines("Pneumonia", "", *WRAPPED, "", *WRAPPED))
    whole = " ".join(WRAPPED).replace("other- wise", "otherwise")
    assert found == f"Pneumonia\n\n{whole}\n\n{whole}"


def test_a_hyphen_of_its_own_stays(tmp_path: Path) -> None:
    first = (
        "Anti-inflammatory drugs relieve pain, and those who took an anti-",
        "inflammatory drug for a week had less of it than others did.",
    )
    assert "took an anti-inflammatory drug for" in text(
        tmp_path / "a.pdf", lines(*(line.replace("Anti", "anti") for line in first))
    )


ZH = (
    "　　社区获得性肺炎的治疗应根据病情的严重程度、过敏史以及当地的",
    "耐药情况选择抗菌药物，一般情况良好的患者可以在家中口服药物治",
    "疗五天，并应被告知何时复诊。",
)


def test_chinese_lines_are_joined_without_spaces_and_indentation_begins_a_paragraph(tmp_path: Path) -> None:
    found = text(tmp_path / "a.pdf", lines(*ZH, *ZH))
    assert found == "\n".join(["".join(ZH).strip()] * 2)


def test_forms_lists_and_tables_keep_their_lines(tmp_path: Path) -> None:
    form = ("Name of the patient who is seen here today: not said in the file", "Age: 54", "Sex: female")
    items = (
        "1. Take the tablets with a glass of water and stay upright for ten",
        "2. Call us.",
        "WBC 5.6 3.5-9.5",
        "HGB 130 115-150",
    )
    assert text(tmp_path / "a.pdf", lines(*form, *items)).split("\n") == [*form, *items]
    fields = ("主诉：发热三天，咳嗽，咳黄痰，伴有胸痛，活动后气促，夜间明显加重", "现病史：三天前受凉后出现。")
    assert text(tmp_path / "b.pdf", lines(*fields)).split("\n") == list(fields)


PARTS = ("", "the heart", "the lung", "the liver", "the eye", "the ear")


def test_cells_of_a_row_are_parted_by_tabs(tmp_path: Path) -> None:
    cells = [
        Put(text, x, 700 - 14 * row) for row in range(2) for text, x in (("WBC", 72), ("5.6", 230), ("3.5-9.5", 360))
    ]
    assert text(tmp_path / "a.pdf", cells) == "WBC\t5.6\t3.5-9.5\nWBC\t5.6\t3.5-9.5"
    spaced = [Put(word, 72 + 16 * n) for n, word in enumerate("高血压的诊断")]
    assert text(tmp_path / "b.pdf", spaced) == "高血压的诊断"


def page(number: int, *body: str) -> list[Put]:
    head, foot = Put("General Hospital", y=760), Put(f"Page {number} of 6", y=30)
    return [foot, head, *lines(*body)]


def test_running_lines_go_and_a_paragraph_goes_on_over_them(tmp_path: Path) -> None:
    pages = [page(n, f"On {PARTS[n]}", "", *WRAPPED[:2]) for n in range(1, 6)] + [page(6, WRAPPED[2])]
    found = text(tmp_path / "a.pdf", *pages)
    assert "General Hospital" not in found
    assert "Page" not in found
    assert [part for part in found.split("\n") if part.startswith("On ")] == [f"On {PARTS[n]}" for n in range(1, 6)]
    assert found.endswith("oral amoxicillin, and it is enough to see them again after two or three days of this.")


def test_figures_that_only_look_like_page_numbers_stay(tmp_path: Path) -> None:
    values = (118, 131, 140, 127, 122)
    found = text(tmp_path / "a.pdf", *([Put(f"BP {v} 80", y=760), *lines(f"Note {v}")] for v in values))
    assert [int(line.split()[1]) for line in found.split("\n") if line.startswith("BP")] == list(values)


def test_a_line_on_every_page_of_a_short_document_is_running(tmp_path: Path) -> None:
    assert text(tmp_path / "a.pdf", page(1, "First."), page(2, "Second.")) == "First.\nSecond."
    assert "General Hospital" in text(tmp_path / "b.pdf", page(1, "Alone."))


def test_a_page_that_is_a_picture_is_an_outcome_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([lines("First page."), PICTURE_PAGE, lines("Third page."), []]))
    ledger = Ledger()
    (record,) = read([path], "document", ledger=ledger)
    ledger.settle(str(path), "kept")
    ledger.check()
    assert record.text == "First page.\nThird page."  # type: ignore[union-attr]
    told = ledger.as_dict()
    assert (told["rows"], told["kept"], told["dropped"], ledger.bad) == (2, 1, 1, 0)
    assert told["reasons"] == {f"dropped: {PICTURE}": 1}
    report = detect(path)
    assert (report.rows, report.bad, report.not_learned) == (2, 0, {PICTURE: 1})


def test_a_scanned_document_is_bad_and_its_pages_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([PICTURE_PAGE, PICTURE_PAGE]))
    with pytest.raises(DataError, match=r"a\.pdf:1: a page that shows a picture and no text"):
        list(read([path], "document", ledger=Ledger()))
    assert detect(path).bad_rows == ((1, PICTURE), (2, PICTURE))


def test_a_stamp_on_a_picture_does_not_hide_that_it_is_one(tmp_path: Path) -> None:
    whole = "A page of words over a picture, which a program has recognized: these are more than those of a stamp."
    pages = [Stamped(PICTURE_PAGE, lines("COPY 3")), Stamped(PICTURE_PAGE, lines(whole)), lines("Short.")]
    found = rows(tmp_path / "a.pdf", pages)
    assert [(row.number, row.problem) for row in found] == [(1, ""), (1, PICTURE)]
    assert (found[0].fields or {})["text"] == f"COPY 3\n{whole}\nShort."


def test_a_page_whose_font_says_nothing_is_an_outcome_of_its_own(tmp_path: Path) -> None:
    nothing = "".join(chr(0xE000 + number) for number in range(40))
    found = rows(tmp_path / "a.pdf", [lines("Words that can be read."), lines(nothing)])
    assert [(row.number, row.problem, row.passed) for row in found] == [(1, "", False), (2, UNREADABLE, True)]


def test_the_place_of_a_row_is_its_page(tmp_path: Path) -> None:
    found = rows(tmp_path / "a.pdf", [[], [], lines("On page three.")])
    assert [(row.number, row.fields) for row in found] == [(3, {"text": "On page three."})]


def test_a_large_pdf_is_several_rows_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medicalgpt.data.rows.documents.WHOLE_FILE_LIMIT", 1000)
    monkeypatch.setattr("medicalgpt.data.rows.documents.PIECE", 500)
    pages: list[list[Put] | bytes | Stamped] = [lines(f"Page {n} says {n * n}.", f"Word {n} " * 8) for n in range(40)]
    found = rows(tmp_path / "a.pdf", pages)
    texts = [str((row.fields or {})["text"]) for row in found]
    assert len(texts) > 3
    assert all(400 < len(one) < 700 for one in texts[:-1])
    assert "".join(texts).split("\n") == [
        t for n in range(40) for t in (f"Page {n} says {n * n}.", (f"Word {n} " * 8).strip())
    ]
    assert [row.number for row in found] == sorted({row.number for row in found})


def test_locked_broken_and_empty_files_are_named(tmp_path: Path) -> None:
    for content, words in (
        (b"%PDF-1.4\n", "not a readable PDF, or a damaged one"),
        (b"words", "not a readable PDF"),
        (b"", "the file is empty"),
    ):
        (tmp_path / "a.pdf").write_bytes(content)
        with pytest.raises(DataError, match=rf"a\.pdf(?::1)?: {words}"):
            refuse(tmp_path / "a.pdf")
    locked = pdf([lines("Secret.")]).replace(
        b"/Root 1 0 R",
        b"/Root 1 0 R /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <"
        + b"41" * 32
        + b"> /U <"
        + b"42" * 32
        + b"> >> /ID [<00> <00>]",
    )
    (tmp_path / "b.pdf").write_bytes(locked)
    with pytest.raises(DataError, match=r"b\.pdf:1: the PDF needs a password; save it without one"):
        refuse(tmp_path / "b.pdf")


def test_without_the_package_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf([lines("Words.")]))
    monkeypatch.setattr("medicalgpt.data.rows.documents.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"a PDF needs pypdfium2: pip install 'medicalgpt\[documents\]'"):
        list(open_rows(tmp_path / "a.pdf", {}))


def test_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    left, right = ("Left one", "Left two"), ("Right one", "Right two")
    found = text(tmp_path / "a.pdf", [*lines(*left), *lines(*right, left=MARGIN + 250)])
    assert found.split("\n") == list(itertools.chain(left, right))


def test_a_broken_document_in_a_folder_is_a_bad_row_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf([lines("Words.")])[:400])
    (tmp_path / "b.pdf").write_bytes(pdf([lines("Wash your hands.")]))
    (tmp_path / "~$b.docx").write_bytes(b"somebody has it open")
    ledger = Ledger()
    (record,) = read([tmp_path], "document", ledger=ledger, on_bad_row="drop", max_bad_share=0.5)
    assert record.text == "Wash your hands."  # type: ignore[union-attr]
    reason = "not a readable PDF, or a damaged one; open and save it again"
    assert ledger.reasons == {("dropped", reason): 1}
    assert ledger.as_dict()["skipped"] == {str(tmp_path): {"hidden": 1}}
    with pytest.raises(
        DataError, match=r"a\.pdf:1: not a readable PDF.*; correct the row, or set data\.on_bad_row=drop"
    ):
        list(read([tmp_path], "document", ledger=Ledger()))
