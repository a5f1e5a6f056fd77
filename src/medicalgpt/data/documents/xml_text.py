"""The text of an XML file: its elements in order, a line each; within running text they are part of the line."""

import codecs
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from medicalgpt.config.sections import Encodings
from medicalgpt.data.documents.block import Block, blocks_of
from medicalgpt.data.documents.markup import Markup, declared_codec
from medicalgpt.data.encoding import LONGEST_LINE, find_encoding, line_of_fault
from medicalgpt.data.storage import open_bytes
from medicalgpt.errors import DataError

_CHUNK: Final = 64 << 10


class _Elements:
    """Elements that are open. What a child of the outermost one holds goes out when it ends, so that no file is held whole."""

    def __init__(self, path: Path) -> None:
        self.out: list[Block] = []
        self._path = path
        self._open: list[_Element] = []
        self._place = self._size = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._open.append(_Element())

    def text(self, text: str) -> None:
        self._size += len(text)
        if self._size > LONGEST_LINE:
            raise DataError(
                f"{self._path}: an element of more than {LONGEST_LINE >> 20} million characters; divide the file"
            )
        self._open[-1].add(text)

    def end(self, name: str) -> None:
        found = self._open.pop()
        if len(self._open) > 1:
            self._open[-1].take(found)
            return
        self._size = 0
        for line in found.lines():
            self._place += 1
            self.out += blocks_of(self._place, line)


class _Element:
    """What one element holds so far: runs of text, and lists of the lines of its children."""

    def __init__(self) -> None:
        self._parts: list[str | list[str]] = []
        self._running = False

    def add(self, text: str) -> None:
        self._running = self._running or not text.isspace()
        self._parts.append(text)

    def take(self, child: "_Element") -> None:
        lines = child.lines()
        if lines:
            self._parts.append(lines)

    def lines(self) -> list[str]:
        """One line where text of its own stands between its children, else the lines of these."""
        if self._running:
            whole = "".join(part if isinstance(part, str) else " ".join(part) for part in self._parts)
            return [" ".join(whole.split())]
        return [line for part in self._parts if isinstance(part, list) for line in part]


def xml_blocks(path: Path, encoding: Encodings) -> Iterator[Block]:
    """The text of a file. Attributes, comments and instructions are none.

    Raises:
        DataError: not well-formed, not in the encoding that it names, nested too deep, or with definitions of its own.
        OSError.
    """
    with open_bytes(path) as raw:
        head = raw.read(1024)
    codec = None if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else declared_codec(head)
    codec = codec or find_encoding(path, encoding).codec
    elements = _Elements(path)
    markup = Markup(str(path), elements.start, elements.end, elements.text, encoding="utf-8")
    try:
        with TextIOWrapper(open_bytes(path), codec, "strict") as text:
            while chunk := text.read(_CHUNK):
                markup.feed(chunk.encode("utf-8", "surrogatepass"))
                yield from elements.out
                elements.out.clear()
            markup.feed(b"", last=True)
            yield from elements.out
    except UnicodeDecodeError:
        said = f"the text is not valid {codec} here, as the file's first line or its begin says it is"
        raise DataError(f"{path}:{line_of_fault(path, codec)}: {said}; save it as UTF-8") from None
