"""The text of a Word document: paragraphs and rows of tables as they follow one another, then foot- and endnotes.

What a reader would not see is left out: deleted and moved-away text of tracked changes, hidden text, codes of fields. So are headers
and footers, which belong to pages, and comments, which are about the text. python-docx reads neither inserted text of tracked
changes nor content controls, text boxes and notes, and holds the document whole; so this reads the XML itself, as a stream.
"""

import posixpath
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

from medicalgpt.data.documents.block import Block, blocks_of, is_power
from medicalgpt.data.documents.markup import Markup
from medicalgpt.data.documents.package import Package
from medicalgpt.data.storage import seekable
from medicalgpt.errors import DataError

_CHUNK: Final = 64 << 10
_DAMAGED: Final = (BadZipFile, zlib.error, KeyError, ValueError, EOFError, NotImplementedError, RuntimeError)
_WORD: Final = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main ",
    "http://purl.oclc.org/ooxml/wordprocessingml/main ",
)
_MATH: Final = (
    "http://schemas.openxmlformats.org/officeDocument/2006/math t",
    "http://purl.oclc.org/ooxml/officeDocument/math t",
)
_FALLBACK: Final = "http://schemas.openxmlformats.org/markup-compatibility/2006 Fallback"
"""The same text box once more, for old programs."""
_LEFT_OUT: Final = frozenset(("del", "moveFrom", "instrText", "delText", "delInstrText", "rt"))
_WRITTEN: Final = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}
_NOTES: Final = ("/footnotes", "/endnotes")
_OFF: Final = ("0", "false", "off")


class _Body:
    """Takes a part's elements, and gives its blocks."""

    def __init__(self) -> None:
        self.out: list[Block] = []
        self._place = 0
        self._skipping = 0  # elements that are open within one that is left out, itself included
        self._texts: list[list[str]] = []  # of open paragraphs: a text box stands within one
        self._runs: list[bool] = []  # whether each open run is hidden
        self._cells: list[list[str]] = []  # of open cells, their paragraphs
        self._rows: list[list[str]] = []  # of open rows, their cells
        self._properties = 0
        self._taking = 0
        self._raised = False  # what the open run holds stands above the line

    def start(self, name: str, attributes: dict[str, str]) -> None:
        word = _local(name)
        if self._skipping or word in _LEFT_OUT or name == _FALLBACK or _separates(word, attributes):
            self._skipping += 1
        elif word == "p":
            self._texts.append([])
        elif word == "r":
            self._runs.append(False)
            self._raised = False
        elif word in ("pPr", "rPr"):
            self._properties += 1
        elif word == "vanish" and self._runs and _value(attributes) not in _OFF:
            self._runs[-1] = True
        elif word == "vertAlign" and self._runs:
            self._raised = _value(attributes) == "superscript"
        elif word == "tr":
            self._rows.append([])
        elif word == "tc":
            self._cells.append([])
        elif word == "t" or name in _MATH:
            self._taking += 1
        elif (
            word in _WRITTEN and self._runs and not self._properties
        ):  # a tab of the properties is a stop, not a character
            self._add(_WRITTEN[word])

    def text(self, text: str) -> None:
        if self._taking and not self._skipping:
            if self._raised and self._texts and is_power("".join(self._texts[-1][-1:]), text):
                self._add("^")
            self._raised = False
            self._add(text)

    def _add(self, text: str) -> None:
        if self._texts and not (self._runs and self._runs[-1]):
            self._texts[-1].append(text)

    def end(self, name: str) -> None:
        word = _local(name)
        if self._skipping:
            self._skipping -= 1
        elif word == "p" and self._texts:
            self._paragraph("".join(self._texts.pop()).strip("\n"))
        elif word == "r" and self._runs:
            self._runs.pop()
        elif word in ("pPr", "rPr"):
            self._properties -= 1
        elif word == "tc" and self._cells:
            cell = " ".join(" ".join(self._cells.pop()).split())
            if self._rows:
                self._rows[-1].append(cell)
        elif word == "tr" and self._rows:
            self._paragraph("\t".join(self._rows.pop()).rstrip("\t"))
        elif word == "t" or name in _MATH:
            self._taking -= 1

    def _paragraph(self, text: str) -> None:
        if self._cells:
            self._cells[-1].append(text)
        else:
            self._place += 1
            self.out += blocks_of(self._place, text)


def _local(name: str) -> str:
    """The name of an element of Word's, "" of any other."""
    return next((name[len(space) :] for space in _WORD if name.startswith(space)), "")


def _value(attributes: dict[str, str]) -> str:
    return next((value for name, value in attributes.items() if _local(name) == "val"), "")


def _separates(word: str, attributes: dict[str, str]) -> bool:
    """Whether it is a note in name only: the line above the notes of a page."""
    return word in ("footnote", "endnote") and any(_local(name) == "type" for name in attributes)


def docx_blocks(path: Path) -> Iterator[Block]:
    """The text of a document. Raises DataError: it is damaged, encrypted or too large. OSError."""
    with seekable(path) as raw:
        package = Package(raw, path)
        try:
            main = next(
                (target for kind, target in _related(package, path, "") if kind.endswith("/officeDocument")), ""
            )
            if main not in package:
                raise DataError(f"{path}: not a Word document: it names no text of its own")
            yield from _part(package, path, main)
            for kind, target in _related(package, path, main):
                if kind.endswith(_NOTES) and target in package:
                    yield from _part(package, path, target)
        except _DAMAGED as error:
            raise package.damaged(error) from None


def _part(package: Package, path: Path, name: str) -> Iterator[Block]:
    body = _Body()
    markup = Markup(f"{path} ({name})", body.start, body.end, body.text, namespaces=True)
    with package.open(name) as part:
        while chunk := part.read(_CHUNK):
            markup.feed(chunk)
            yield from body.out
            body.out.clear()
    markup.feed(b"", last=True)
    yield from body.out


def _related(package: Package, path: Path, name: str) -> list[tuple[str, str]]:
    """What a part ("": the package) is related to: types and names of parts."""
    folder, file = posixpath.split(name)
    relations = posixpath.join(folder, "_rels", f"{file}.rels")
    found: list[tuple[str, str]] = []

    def start(element: str, attributes: dict[str, str]) -> None:
        target = attributes.get("Target", "")
        if element.endswith(" Relationship") and attributes.get("TargetMode") != "External":
            place = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            found.append((attributes.get("Type", ""), place))

    if relations in package:
        markup = Markup(f"{path} ({relations})", start, lambda element: None, lambda text: None, namespaces=True)
        with package.open(relations) as part:
            while chunk := part.read(_CHUNK):
                markup.feed(chunk)
        markup.feed(b"", last=True)
    return found
