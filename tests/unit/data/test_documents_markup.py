"""Web pages and XML: visible text in its lines, in the encoding they name; nothing fetched, nothing that grows."""

from pathlib import Path

import pytest
from tests.papers import refuse

from medicalgpt.data.documents import process
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.report import detect
from medicalgpt.data.rows import Reading, open_rows
from medicalgpt.errors import DataError


def text(path: Path, content: str | bytes, reading: Reading | None = None) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (row,) = open_rows(path, {}, reading or Reading())
    assert row.fields is not None
    return str(row.fields["text"])


PAGE = """<!DOCTYPE html><html><head><meta charset="{charset}"><title>Ward</title><style>p {{}}</style>
<script>document.write("<p>no</p>")</script></head><body><h1>高血压</h1>
<p>First &amp; second&nbsp;word<br>with <b>bold</b>ness</p><div hidden>no</div><p style="display: none">no
<table><tr><th>Item<th>Value<tr><td><p>WBC</p></td><td>5.6 &times;10<sup>9</sup>/L</table>
<ul><li>one<li>two</ul><pre>a
  b</pre><noscript>no</noscript><p>end</body></html>"""
SHOWN = "高血压\n\nFirst & second word\nwith boldness\n\nItem\tValue\nWBC\t5.6 ×10^9/L\n\none\ntwo\n\na\nb\n\nend"


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("utf-8", "utf-8"), ("gb2312", "gb18030"), ("big5", "cp950"), ("none", "gb18030"), ("utf-16", "utf-16")],
)
def test_a_page_is_its_visible_text_in_every_encoding(tmp_path: Path, charset: str, codec: str) -> None:
    words = {"高血压": "高血壓"} if codec == "cp950" else {}
    page, shown = PAGE.format(charset=charset), SHOWN
    for simple, traditional in words.items():
        page, shown = page.replace(simple, traditional), shown.replace(simple, traditional)
    assert text(tmp_path / "a.html", page.encode(codec)) == shown
    assert text(tmp_path / "a.htm", page.encode(codec)) == shown


def test_what_the_page_says_decides_where_bytes_do_not(tmp_path: Path) -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1252"><p>Fi\xe8vre \x80</p>'.encode(
        "latin-1"
    )
    assert text(tmp_path / "a.html", page) == "Fièvre €"
    assert text(tmp_path / "b.html", "<p>熱がある</p>".encode("shift_jis"), Reading("shift_jis")) == "熱がある"


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("<p hidden>no</p>yes", "yes"),
        ("<p hidden>no<p>yes", "yes"),
        ("<ul><li hidden>no<li>yes</ul>", "yes"),
        ("a</div></div><p>b", "a\n\nb"),
        ("<table><tr><td>a<table><tr><td>b<td>c</table><td>d</table>", "a\nb\tc\n\td"),
        ("1 < 2 &lt; 3 & so on", "1 < 2 < 3 & so on"),
        ("<!-- no --><![CDATA[no]]>yes<?php no ?>", "yes"),
        ("x<sup>1</sup>, 10<sup>-3</sup>, CO<sub>2</sub>", "x1, 10^-3, CO2"),
        ("<div>a<br/>b</div>c", "a\nb\nc"),
        ("hy&shy;phen", "hyphen"),
        ("<svg><text>no</text></svg>yes<br>", "yes"),
    ],
)
def test_pages_as_people_write_them(tmp_path: Path, page: str, shown: str) -> None:
    assert text(tmp_path / "a.html", page) == shown


def test_a_page_without_text_is_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<html><script>no</script></html>")
    with pytest.raises(DataError, match="the file is empty"):
        refuse(tmp_path / "a.html")


XML = (
    '<?xml version="1.0"{}?><d><t>T</t><p>the <i>BRCA1</i> gene &amp; 高血压</p><l><i>a</i><i>b<!-- no --></i></l></d>'
)


@pytest.mark.parametrize(
    ("said", "codec"),
    [
        ("", "utf-8"),
        ("", "utf-16"),
        (' encoding="GBK"', "gb18030"),
        (" encoding='UTF-8'", "utf-8-sig"),
        (' encoding="UTF-16"', "utf-16"),
    ],
)
def test_xml_is_its_elements_a_line_each(tmp_path: Path, said: str, codec: str) -> None:
    assert text(tmp_path / "a.xml", XML.format(said).encode(codec)) == "T\nthe BRCA1 gene & 高血压\na\nb"


def test_a_definition_elsewhere_is_not_looked_at(tmp_path: Path) -> None:
    head = '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS" "http://127.0.0.1:9/jats.dtd">'
    assert text(tmp_path / "a.xml", f"{head}<article><p>5 &micro;g &lt; 1 mg</p></article>") == "5 µg < 1 mg"
    (tmp_path / "a.xml").write_text(f"{head}<article>\n<p>&drug;</p></article>")
    with pytest.raises(DataError, match=r"a\.xml:2: an entity that nothing in the file defines"):
        refuse(tmp_path / "a.xml")


@pytest.mark.parametrize(
    "inside",
    [
        '<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">',
        '<!ENTITY a SYSTEM "file:///etc/hostname">',
        '<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;',
    ],
)
def test_definitions_of_its_own_are_refused(tmp_path: Path, inside: str) -> None:
    (tmp_path / "a.xml").write_text(f"<!DOCTYPE d [{inside}]>\n<d>&a;</d>")
    with pytest.raises(
        DataError, match=r"a\.xml:1: the document type brings definitions of its own, which are refused"
    ):
        refuse(tmp_path / "a.xml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<d><p>a</d>", r"a\.xml:1: not well-formed XML here \(mismatched tag\)"),
        (b"<d>\n" * 1001, r"a\.xml:1001: more than 1000 elements within one another"),
        (b'<?xml version="1.0" encoding="gb2312"?>\n<d>\xff\xff</d>', r"a\.xml:2: the text is not valid gb18030 here"),
        (b"no xml", r"a\.xml:1: not well-formed XML here"),
    ],
)
def test_bad_xml_is_placed(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.xml").write_bytes(content)
    with pytest.raises(DataError, match=words):
        refuse(tmp_path / "a.xml")


def test_a_large_file_is_several_rows_and_nothing_is_lost(tmp_path: Path) -> None:
    items = [f"Sentence {n} about the heart and the lung, of some length." for n in range(30_000)]
    (tmp_path / "a.xml").write_text("<d>" + "".join(f"<p>{item}</p>" for item in items) + "</d>")
    rows = list(open_rows(tmp_path / "a.xml", {}))
    assert len(rows) > 20
    assert "".join(str((row.fields or {})["text"]) for row in rows).split("\n") == items
    assert [str((row.fields or {})["text"]).split()[1] for row in rows[:3]] == [str(row.number - 1) for row in rows[:3]]


def test_a_parser_that_does_not_answer_is_ended_and_the_next_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.html").write_text("<p>words")
    monkeypatch.setattr(process, "_idle", [])
    monkeypatch.setattr(process, "PATIENCE", 0.0)
    with pytest.raises(DataError, match=r"a\.html:1: reading on from here takes longer than 0 s"):
        refuse(tmp_path / "a.html")
    monkeypatch.setattr(process, "PATIENCE", 60.0)
    assert detect(tmp_path / "a.html").rows == 1


def test_a_parser_that_dies_refuses_its_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.html").write_text("<p>words")
    dead = process._Parser()
    dead._process.kill()
    dead._process.wait()
    monkeypatch.setattr(process, "_idle", [dead])
    with pytest.raises(DataError, match=r"a\.html:1: the process that reads documents ended"):
        refuse(tmp_path / "a.html")
    assert detect(tmp_path / "a.html").rows == 1


def test_two_files_may_be_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medicalgpt.data.rows.documents.WHOLE_FILE_LIMIT", 10)
    monkeypatch.setattr("medicalgpt.data.rows.documents.PIECE", 10)
    for name in "ab":
        (tmp_path / f"{name}.html").write_text("".join(f"<p>{name} word {n}" for n in range(50)))
    both = zip(open_rows(tmp_path / "a.html", {}), open_rows(tmp_path / "b.html", {}))
    assert all(
        (a.fields or {})["text"].strip().startswith("a") and (b.fields or {})["text"].strip().startswith("b")
        for a, b in both
    )


def test_documents_are_no_dialogues(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<table><tr><th>question<th>answer<tr><td>Fever?<td>38 °C")
    with pytest.raises(DataError, match=r"a\.html:1: this is a document row .* which fits `medicalgpt train pt`"):
        list(read([tmp_path / "a.html"], "dialogue", ledger=Ledger()))
