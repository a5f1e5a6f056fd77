"""Plain text and Markdown: the file is one document; a very large one becomes several."""

from collections.abc import Iterator
from pathlib import Path

from medicalgpt.data.encoding import open_text
from medicalgpt.data.rows.row import Row

WHOLE_FILE_LIMIT = 1 << 20  # characters
PIECE = 64 << 10
_LONGEST_PIECE = 4 * PIECE  # where no blank line comes


def text_rows(path: Path) -> Iterator[Row]:
    """The file as one row; beyond WHOLE_FILE_LIMIT, pieces of about PIECE that end at blank lines. No text is lost.

    Raises:
        DataError: the file cannot be read or decoded.
    """
    with open_text(path, newline=None) as text:
        head = text.read(WHOLE_FILE_LIMIT + 1)
        if len(head) <= WHOLE_FILE_LIMIT:
            if head:
                yield Row(1, {"text": head})
            return
        text.seek(0)
        piece: list[str] = []
        size, start, number = 0, 1, 1
        while line := text.readline(PIECE):
            piece.append(line)
            size += len(line)
            number += line.endswith("\n")
            if size >= _LONGEST_PIECE or (size >= PIECE and not line.strip()):
                yield Row(start, {"text": "".join(piece)})
                piece, size, start = [], 0, number
        if "".join(piece).strip():
            yield Row(start, {"text": "".join(piece)})
