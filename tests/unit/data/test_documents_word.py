"""Word documents: what a reader sees, in its order; nothing of pages, of deleted text or of anything beside it; bounded."""

import io
import re
import zipfile
from pathlib import Path

import pytest
from tests.papers import refuse, word

from medicalgpt.data.documents import markup, package
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.report import detect
from medicalgpt.data.rows import open_rows
from medicalgpt.errors import DataError

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MAIN = "word/document.xml"


def text(path: Path) -> str:
    (row,) = open_rows(path, {})
    assert row.fields is not None
    return str(row.fields["text"])


def changed(content: bytes, name: str, change: dict[str, str] | bytes, more: dict[str, str] | None = None) -> bytes:
    """A document with something of one part replaced, and parts added."""
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            part = old.read(entry)
            if entry.filename == name:
                if isinstance(change, bytes):
                    part = change
                else:
                    for before, after in change.items():
                        assert before.encode() in part
                        part = part.replace(before.encode(), after.encode())
            new.writestr(entry.filename, part)
        for added, content_of in (more or {}).items():
            new.writestr(added, content_of)
    return sink.getvalue()


def with_body(path: Path, body: str) -> str:
    path.write_bytes(changed(word("HERE"), MAIN, {"<w:p><w:r><w:t>HERE</w:t></w:r></w:p>": body}))
    return text(path)


def test_paragraphs_and_tables_in_their_order_without_headers_and_footers(tmp_path: Path) -> None:
    cells = (("Item", "Value"), ("WBC", "5.6\n(again 5.8)"))
    (tmp_path / "a.docx").write_bytes(word("发热三天入院。", "BP was 120/80 mmHg.", table=cells))
    assert text(tmp_path / "a.docx") == "发热三天入院。\nBP was 120/80 mmHg.\nItem\tValue\nWBC\t5.6 (again 5.8)"
    (record,) = read([tmp_path / "a.docx"], "document", ledger=Ledger())
    assert str(record.source) == f"{tmp_path}/a.docx:1"
    report = detect(tmp_path / "a.docx")
    assert (report.type, report.kind, report.rows, report.columns) == (".docx", "document", 1, ())


RAISED = '<w:vertAlign w:val="superscript"/>'


def run(words: str, properties: str = "", tag: str = "t") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:{tag} xml:space="preserve">{words}</w:{tag}></w:r>'


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        (
            f"{run('kept ')}<w:del>{run('deleted', tag='delText')}</w:del><w:ins>{run('inserted')}</w:ins>",
            "kept inserted",
        ),
        (f"<w:moveFrom>{run('away')}</w:moveFrom><w:moveTo>{run('here')}</w:moveTo>", "here"),
        (run("seen ") + run("hidden", "<w:vanish/>") + run("again", '<w:vanish w:val="0"/>'), "seen again"),
        ("<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/></w:r>", "a\tb\nc-"),
        (f"<w:sdt><w:sdtContent>{run('control')}</w:sdtContent></w:sdt>", "control"),
        (run("5.6 ×10") + run("9", RAISED) + run("/L"), "5.6 ×10^9/L"),
        (run("H") + run("2", '<w:vertAlign w:val="subscript"/>') + run("O"), "H2O"),
        (f"<w:r><w:fldChar w:fldCharType='begin'/></w:r>{run(' PAGE ', tag='instrText')}{run('12')}", "12"),
        (f"<w:hyperlink>{run('link')}</w:hyperlink>", "link"),
        (
            "<w:r><w:ruby><w:rt><w:r><w:t>kan</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>肝</w:t></w:r></w:rubyBase></w:ruby></w:r>",
            "肝",
        ),
    ],
)
def test_what_a_reader_sees(tmp_path: Path, paragraph: str, expected: str) -> None:
    tabs = '<w:pPr><w:tabs><w:tab w:val="left" w:pos="720"/></w:tabs></w:pPr>'  # stops are no characters
    assert with_body(tmp_path / "a.docx", f"<w:p>{tabs}{paragraph}</w:p>") == expected


def test_a_text_box_is_read_once(tmp_path: Path) -> None:
    inner = f"<w:txbxContent><w:p>{run('boxed')}</w:p></w:txbxContent>"
    compatible = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    both = f"<x:Choice>{inner}</x:Choice><x:Fallback>{inner}</x:Fallback>"
    box = f'<x:AlternateContent xmlns:x="{compatible}">{both}</x:AlternateContent>'
    assert with_body(tmp_path / "a.docx", f"<w:p>{run('before')}<w:r>{box}</w:r></w:p>") == "boxed\nbefore"


def test_tables_within_tables_stay_in_their_cell(tmp_path: Path) -> None:
    def table(*cells: str) -> str:
        return (
            "<w:tbl><w:tr>"
            + "".join(f"<w:tc>{cell}<w:p>{run('end')}</w:p></w:tc>" for cell in cells)
            + "</w:tr></w:tbl>"
        )

    assert with_body(tmp_path / "a.docx", table("", table("", ""))) == "end\tend end end"


def test_notes_stand_at_the_end(tmp_path: Path) -> None:
    line = f'<w:footnote w:type="separator"><w:p>{run("---")}</w:p></w:footnote>'
    note = f"<w:footnote><w:p>{run('See the guideline.')}</w:p></w:footnote>"
    notes = f"<w:footnotes {W}>{line}{note}</w:footnotes>"
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
    relation = f'<Relationship Id="rId99" Type="{kind}" Target="footnotes.xml"/></Relationships>'
    path = tmp_path / "a.docx"
    path.write_bytes(
        changed(
            word("Body."), "word/_rels/document.xml.rels", {"</Relationships>": relation}, {"word/footnotes.xml": notes}
        )
    )
    assert text(path) == "Body.\nSee the guideline."


BOMB = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


def test_what_would_grow_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(
        changed(word("x"), MAIN, f"{BOMB}<w:document {W}><w:p><w:r><w:t>&b;</w:t></w:r></w:p></w:document>".encode())
    )
    with pytest.raises(
        DataError,
        match=r"a\.docx:1: the document type brings definitions of its own, .* \(word/document\.xml:1\); allowed: a document whose",
    ):
        refuse(path)
    deep = f"<w:document {W}>" + "<w:p>" * (markup.DEEPEST + 1)
    path.write_bytes(changed(word("x"), MAIN, deep.encode()))
    with pytest.raises(DataError, match="more than 1000 elements within one another"):
        refuse(path)
    path.write_bytes(changed(word("x"), MAIN, {}, {"media/big": " " * (package.MOST_BYTES + 1)}))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(DataError, match=r"a\.docx:1: \d+ parts of 256 MiB; allowed: 10000 parts of 256 MiB in all"):
        refuse(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a document with a password, or one of Office before 2007"),
        (b"words", r"not a readable document \(BadZipFile\)"),
        (changed(word("x"), "_rels/.rels", b"<Relationships/>"), "not a Word document: it names no text of its own"),
        (changed(word("x"), MAIN, b"<w:document>"), "not well-formed XML here"),
    ],
)
def test_what_is_no_document_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.docx").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.docx.*: {words}"):
        refuse(tmp_path / "a.docx")


def test_documents_lie_in_folders_archives_and_compressed(tmp_path: Path) -> None:
    import gzip

    content = word("Wash your hands.")
    (tmp_path / "b.docx.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "ward.zip", "w") as archive:
        archive.writestr("notes/a.docx", content)
    found = list(read([tmp_path], "document", ledger=Ledger()))
    assert [re.sub(r".*/reading|.*(?=/b|/ward)", "", str(record.source)) for record in found] == [
        "/b.docx.gz:1",
        "/ward.zip/notes/a.docx:1",
    ]
    assert {record.text for record in found} == {"Wash your hands."}  # type: ignore[union-attr]
