"""Plain text and Markdown: the file is one document, a very large one several; or each line of a .txt is one."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from medicalgpt.data.encoding import numbered_lines, open_text
from medicalgpt.data.files import file_type
from medicalgpt.data.rows.reading import DETECTED, Reading
from medicalgpt.data.rows.row import Row

WHOLE_FILE_LIMIT = 1 << 20  # characters
PIECE = 64 << 10
_LONGEST_PIECE = 4 * PIECE  # where no blank line comes

LINES: Final = "a .txt file whose lines look like documents of their own was read as one document; data.txt=line reads each line as one"
_LEAST_LINES: Final = 8
_LONG_LINE: Final = 60  # characters of the line in the middle: a paragraph, not a verse or an entry
_ENDINGS: Final = tuple("。！？；…」』”’）.!?;\")'")
_ENDED: Final = 0.7  # a text wrapped at a margin ends few of its lines with a sentence


def text_rows(path: Path, reading: Reading = DETECTED) -> Iterator[Row]:
    """The file as one row; beyond WHOLE_FILE_LIMIT, pieces of about PIECE that end at blank lines. No text is lost.

    With `reading.txt` "line", every line of a .txt that is not blank is a row.

    Raises:
        DataError: the file cannot be read or decoded.
    """
    txt = file_type(path) == ".txt"
    if txt and reading.txt == "line":
        for number, line in numbered_lines(path, newline=None, encoding=reading.encoding):
            yield Row(number, {"text": line.rstrip("\n")})
        return
    with open_text(path, newline=None, encoding=reading.encoding) as text:
        head = text.read(WHOLE_FILE_LIMIT + 1)
    note = LINES if txt and one_a_line(head.splitlines()) else ""
    if len(head) > WHOLE_FILE_LIMIT:
        yield from _pieces(path, reading, note)
    elif head:
        yield Row(1, {"text": head}, note=note)


def one_a_line(lines: Sequence[str]) -> bool:
    """Whether lines look like documents of their own: many, no blank ones between, long, and ended like sentences."""
    filled = [line.rstrip() for line in lines if line.strip()]
    if len(filled) < _LEAST_LINES or len(lines) - len(filled) > len(filled) // 20:
        return False
    middle = sorted(map(len, filled))[len(filled) // 2]
    return middle >= _LONG_LINE and sum(line.endswith(_ENDINGS) for line in filled) >= _ENDED * len(filled)


def _pieces(path: Path, reading: Reading, note: str) -> Iterator[Row]:
    with open_text(path, newline=None, encoding=reading.encoding) as text:
        piece: list[str] = []
        size, start, number = 0, 1, 1
        while line := text.readline(PIECE):
            piece.append(line)
            size += len(line)
            number += line.endswith("\n")
            if size >= _LONGEST_PIECE or (size >= PIECE and not line.strip()):
                yield Row(start, {"text": "".join(piece)}, note=note)
                piece, size, start, note = [], 0, number, ""
        if "".join(piece).strip():
            yield Row(start, {"text": "".join(piece)}, note=note)
