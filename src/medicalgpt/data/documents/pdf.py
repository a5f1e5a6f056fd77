"""The text of a PDF, page by page: without running headers and footers, lines joined to paragraphs.

Only its text layer is read: of a page that is a picture, the outcome is that it is one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from medicalgpt.data.documents.block import Block, blocks_of
from medicalgpt.data.documents.paragraphs import Paragraphs
from medicalgpt.data.documents.pdf_page import Page, page_of
from medicalgpt.data.documents.running import without_running
from medicalgpt.data.storage import seekable
from medicalgpt.errors import DataError

if TYPE_CHECKING:
    import pypdfium2


def pdf_blocks(path: Path) -> Iterator[Block]:
    """The text of a PDF. Raises DataError: it is damaged or needs a password. OSError."""
    import pypdfium2

    with seekable(path) as raw:
        if not raw.read(1):
            return
        raw.seek(0)
        try:
            document = pypdfium2.PdfDocument(raw)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                raise DataError(f"{path}: the PDF needs a password; save it without one") from None
            raise DataError(f"{path}: not a readable PDF, or a damaged one; open and save it again") from None
        try:
            yield from _blocks(document, path)
        finally:
            document.close()


def _blocks(document: "pypdfium2.PdfDocument", path: Path) -> Iterator[Block]:
    paragraphs = Paragraphs()
    count = len(document)
    for page in without_running(_pages(document, count, path), count):
        if page.picture or page.unreadable:
            yield Block(page.number, "", "", "picture" if page.picture else "unreadable")
        for place, text, glue in paragraphs.take(page):
            yield from blocks_of(place, text, glue)
    for place, text, glue in paragraphs.rest():
        yield from blocks_of(place, text, glue)


def _pages(document: "pypdfium2.PdfDocument", count: int, path: Path) -> Iterator[Page]:
    import pypdfium2

    for index in range(count):
        try:
            yield page_of(document, index, str(path))
        except pypdfium2.PdfiumError:
            raise DataError(f"{path}:{index + 1}: the page is damaged; open and save the PDF again") from None
