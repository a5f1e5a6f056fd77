"""The text that a web page shows: blocks a line each, cells of a table row beside one another, nothing of scripts and styles."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final, get_args

from medicalgpt.config.sections import Encodings
from medicalgpt.data.documents.block import BREAK, LINE, Block, blocks_of, is_power
from medicalgpt.data.encoding import open_text
from medicalgpt.data.storage import open_bytes

_CHUNK: Final = 64 << 10
_NAMED: Final = re.compile(rb"""<meta[^>]{0,300}?charset\s*=\s*["']?\s*([A-Za-z0-9._:-]{1,40})""", re.IGNORECASE)
_SAME: Final = {
    "gb2312": "gb18030",
    "x-gbk": "gbk",
    "windows-1252": "cp1252",
    "iso-8859-1": "cp1252",
    "x-sjis": "shift_jis",
}
_HEAD: Final = 4096  # bytes in which a page says its encoding

_UNSEEN: Final = frozenset(
    (
        *("script", "style", "template", "noscript", "head", "title", "svg", "math", "iframe", "object", "applet"),
        *("audio", "video", "canvas", "datalist", "rt", "rp"),
    )
)
_BROKEN: Final = frozenset(
    (
        *(
            "p",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "table",
            "ul",
            "ol",
            "dl",
            "pre",
            "blockquote",
            "section",
            "article",
        ),
        "hr",
    )
)
_LINED: Final = frozenset(
    (
        *("div", "li", "dt", "dd", "tr", "caption", "figcaption", "figure", "header", "footer", "main", "nav", "aside"),
        *("address", "form", "fieldset", "legend", "option", "details", "summary", "body", "html", "tbody", "thead"),
        "tfoot",
    )
)
_EMPTY: Final = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
)
_CLOSES: Final = {  # a tag that ends what was left open before it
    **dict.fromkeys(("td", "th"), ("td", "th")),
    **dict.fromkeys(("dt", "dd"), ("dt", "dd")),
    "li": ("li",),
    "tr": ("td", "th", "tr"),
    "option": ("option",),
    **dict.fromkeys((*_BROKEN, "div"), ("p",)),
}
_HIDDEN: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


class _Page(HTMLParser):
    """Gathers lines; `out` has those that are whole."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.out: list[tuple[str, str]] = []
        self._line: list[str] = []
        self._glue = LINE
        self._first = True  # the next cell is the first of its row
        self._raised = False  # the last tag was <sup>
        self._open: list[tuple[str, bool]] = []  # name, and whether it hides what is in it

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._open and self._open[-1][0] in _CLOSES.get(tag, ()):
            self.handle_endtag(self._open[-1][0])
            if tag == "tr" and self._open and self._open[-1][0] == "tr":
                self.handle_endtag("tr")
        self._break(tag)
        if tag == "br":
            self._end(LINE)
        elif tag == "tr":
            self._first = True
        elif tag in ("td", "th"):
            self._line[:] = [] if self._first else [*self._line, "\t"]  # before the first cell stands white space
            self._first = False
        self._raised = tag == "sup"
        if tag not in _EMPTY and len(self._open) < 10_000:
            given = dict(attrs)
            hides = "hidden" in given or bool(_HIDDEN.search(given.get("style") or ""))
            self._open.append((tag, hides or tag in _UNSEEN))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _EMPTY and tag not in _UNSEEN:  # in HTML the slash says nothing; in XHTML it does
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        names = [name for name, _ in self._open[-200:]]
        if tag in names:
            if tag == "table":  # its last row, wherever the table stands
                self._flush()
                self._first = False
            while self._open.pop()[0] != tag:
                pass
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if any(hides for _, hides in self._open[-200:]):
            return
        if self._raised and is_power("".join(self._line[-1:]), data):
            self._line.append("^")
        self._raised = False
        if any(name == "pre" for name, _ in self._open[-20:]):
            first, *rest = data.split("\n")
            self._line.append(first)
            for line in rest:
                self._end(LINE)
                self._line.append(line)
        else:
            self._line.append(re.sub(r"[ \t\n\r\f]+", " ", data))

    def _break(self, tag: str) -> None:
        if tag in _BROKEN:
            self._end(BREAK)
        elif tag in _LINED and not self._in_cell():
            self._end(LINE)
        elif tag in _LINED and self._line and tag != "tr":
            self._line.append(" ")

    def _in_cell(self) -> bool:
        """Within a cell blocks are no lines, so that a row of a table stays one."""
        for name, _ in reversed(self._open[-50:]):
            if name in ("td", "th"):
                return True
            if name == "table":
                return False
        return False

    def _end(self, glue: str) -> None:
        if self._in_cell():
            if self._line:
                self._line.append(" ")
            return
        self._flush()
        if glue == BREAK:
            self._glue = BREAK

    def _flush(self) -> None:
        cells = (" ".join(cell.replace("\xa0", " ").split(" ")).strip() for cell in "".join(self._line).split("\t"))
        line = "\t".join(re.sub(r" {2,}", " ", cell) for cell in cells)
        self._line.clear()
        if line.strip():
            self.out.append((line.rstrip("\t"), self._glue))
            self._glue = LINE

    def finish(self) -> None:
        """Everything is there."""
        self.close()
        self._open.clear()
        self._end(LINE)


def html_blocks(path: Path, encoding: Encodings) -> Iterator[Block]:
    """The text of a page, in the encoding that its bytes, the page or `encoding` name. Raises DataError, OSError."""
    page, place = _Page(), 0
    with open_text(path, newline=None, encoding=named_encoding(path, encoding)) as text:
        while chunk := text.read(_CHUNK):
            page.feed(chunk)
            for line, glue in page.out:
                place += 1
                yield from blocks_of(place, line, glue)
            page.out.clear()
    page.finish()
    for line, glue in page.out:
        place += 1
        yield from blocks_of(place, line, glue)


def named_encoding(path: Path, given: Encodings) -> Encodings:
    """What a page is in that is no UTF-8: as given, else as it says itself, else found. Raises DataError, OSError."""
    if given != "auto":
        return given
    with open_bytes(path) as raw:
        head = raw.read(_HEAD)
    found = _NAMED.search(head)
    name = found[1].decode("ascii").lower() if found else ""
    name = _SAME.get(name, name)
    return next((known for known in get_args(Encodings) if known == name and not name.startswith("utf-16")), "auto")
