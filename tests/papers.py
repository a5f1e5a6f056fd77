"""Documents made in the process: PDFs written by hand, line by line, with Latin and Chinese fonts; pages that are pictures alone."""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import docx
import openpyxl

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read

_FONTS = (
    b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
    b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H /DescendantFonts [<< /Type /Font /Subtype "
    b"/CIDFontType0 /BaseFont /STSong-Light /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> /DW 1000 "
    b"/FontDescriptor << /Type /FontDescriptor /FontName /STSong-Light /Flags 4 /FontBBox [0 -200 1000 900] /ItalicAngle 0 "
    b"/Ascent 880 /Descent -120 /CapHeight 700 /StemV 80 >> >>] >>",
)
SIZE = 12.0
LEADING = 14.0
MARGIN = 72.0


@dataclass(frozen=True)
class Stamped:
    """A page that is a gray picture with lines of text on it."""

    picture: bytes
    lines: Sequence["Put"]


@dataclass(frozen=True)
class Put:
    """A line of text at a place; Courier is 0.6 em a character, an ideograph 1 em."""

    text: str
    x: float = MARGIN
    y: float = 700.0
    size: float = SIZE


def lines(*texts: str, top: float = 700.0, left: float = MARGIN) -> list[Put]:
    """Lines one below the other; "" leaves one out."""
    return [Put(text, left, top - LEADING * number) for number, text in enumerate(texts) if text]


def pdf(pages: Sequence[Sequence[Put] | bytes | Stamped]) -> bytes:
    """A PDF; a page that is bytes shows them as a gray picture, and no text."""
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    objects += _FONTS
    kids = []
    for page in pages:
        stamped = Stamped(page, ()) if isinstance(page, bytes) else page
        shown = b"\n".join(map(_shown, stamped.lines if isinstance(stamped, Stamped) else stamped))
        used = b"/Font << /F1 3 0 R /F2 4 0 R >>"
        if isinstance(stamped, Stamped):
            kind = b"/Type /XObject /Subtype /Image /Width 8 /Height 8 /ColorSpace /DeviceGray /BitsPerComponent 8"
            objects.append(_stream(kind, stamped.picture))
            used += b" /XObject << /I %d 0 R >>" % len(objects)
            shown = b"q 612 0 0 792 0 0 cm /I Do Q\n" + shown
        objects.append(_stream(b"", shown))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << %s >> /Contents %d 0 R >>"
            % (used, len(objects))
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    return _file(objects)


def _shown(put: Put) -> bytes:
    chinese = not put.text.isascii()
    coded = put.text.encode("utf-16-be") if chinese else put.text.encode("ascii")
    return b"BT /F%d %g Tf %g %g Td <%s> Tj ET" % (chinese + 1, put.size, put.x, put.y, coded.hex().encode())


def _stream(entries: bytes, content: bytes) -> bytes:
    packed = zlib.compress(content)
    return b"<< %s /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (entries, len(packed), packed)


def _file(objects: Sequence[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def word(*paragraphs: str, table: Sequence[Sequence[str]] = ()) -> bytes:
    """A Word document by python-docx, with a header and a footer."""
    document = docx.Document()
    section = document.sections[0]
    section.header.paragraphs[0].text, section.footer.paragraphs[0].text = "General Hospital", "Page 1"
    for text in paragraphs:
        document.add_paragraph(text)
    if table:
        made = document.add_table(len(table), len(table[0]))
        for row, cells in zip(made.rows, table):
            for cell, text in zip(row.cells, cells):
                cell.text = text
    return _saved(document)


def refuse(path: Path) -> None:
    """Read a document that cannot be read. Raises DataError."""
    list(read([path], "document", ledger=Ledger()))


def workbook(*sheets: Sequence[Sequence[object]]) -> bytes:
    """A workbook by openpyxl."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for number, rows in enumerate(sheets, 1):
        sheet = book.create_sheet(f"s{number}")
        for row in rows:
            sheet.append(list(row))
    return _saved(book)


def _saved(document: "docx.document.Document | openpyxl.Workbook") -> bytes:
    sink = io.BytesIO()
    document.save(sink)
    return sink.getvalue()
