"""Documents of programs for people: the file is one row, a very large one several; pages that nobody can read are rows that say so."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from medicalgpt.data.documents.block import Block, Unreadable
from medicalgpt.data.documents.process import parse
from medicalgpt.data.files import file_type
from medicalgpt.data.rows.reading import DETECTED, Reading
from medicalgpt.data.rows.row import Row
from medicalgpt.data.rows.whole_text import PIECE, WHOLE_FILE_LIMIT
from medicalgpt.errors import DataError

PICTURE: Final = "a page that shows a picture and no text: only text layers are read, so have it recognized (OCR) first"
UNREADABLE: Final = (
    "a page whose font does not say which characters it shows: have it recognized (OCR), or take another copy"
)
ALLOWED: Final = "a document whose text can be read"
_REASONS: Final = {"picture": PICTURE, "unreadable": UNREADABLE}


def document_rows(path: Path, reading: Reading = DETECTED) -> Iterator[Row]:
    """The text as one row; beyond WHOLE_FILE_LIMIT characters, pieces of about PIECE. No text is lost.

    `Row.number` is the page (.pdf), the paragraph or the element at which it begins. A page without text that can be read is a row
    of its own, which is passed over and counted; where no page has any, these rows are bad. So is one that stands for a document that
    cannot be read, or for the rest of a large one.

    Raises:
        DataError: the package that reads it is missing, or the file cannot be opened.
    """
    if file_type(path) == ".pdf" and find_spec("pypdfium2") is None:
        raise DataError(
            f"{path}: a PDF needs pypdfium2: pip install 'medicalgpt[documents]'; or save it as .txt (UTF-8)"
        )
    lost: list[Block] = []
    any_text, broken = False, None
    try:
        for number, text in _pieces(parse(path, reading.encoding), lost):
            any_text = True
            yield Row(number, {"text": text})
    except Unreadable as error:
        broken = error
    for page in lost:
        yield Row(page.place, None, _REASONS[page.what], passed=any_text, allowed=ALLOWED)
    if broken is not None:
        yield Row(broken.number, None, broken.reason, broken.where, allowed=ALLOWED)


def _pieces(blocks: Iterator[Block], lost: list[Block]) -> Iterator[tuple[int, str]]:
    """The text, with the place where each piece begins; pages without any go to `lost`."""
    held: list[tuple[int, str]] = []
    size, most = 0, WHOLE_FILE_LIMIT
    for block in blocks:
        if block.what != "text":
            lost.append(block)
            continue
        text = block.glue + block.text if held or most == PIECE else block.text
        held.append((block.place, text))
        size += len(text)
        if size > most:
            most = PIECE
            yield from _joined(held)
            held, size = [], 0
    if most == PIECE:
        yield from _joined(held)
    elif held:
        yield held[0][0], "".join(text for _, text in held)


def _joined(held: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Blocks as pieces of about PIECE."""
    parts: list[str] = []
    size = start = 0
    for place, text in held:
        start = start if parts else place
        parts.append(text)
        size += len(text)
        if size >= PIECE:
            yield start, "".join(parts)
            parts, size = [], 0
    if parts:
        yield start, "".join(parts)
