"""XML as a stream of events, safe for files from anywhere: nothing outside is looked at, and no file defines entities.

A document type that only names its definition elsewhere (PubMed and JATS do) is passed over, unread: then the names of HTML's
characters are known, others are an error. One that brings definitions of its own may grow without end, and is refused.
"""

import codecs
import re
from collections.abc import Callable
from html.entities import html5
from typing import Final
from xml.parsers import expat

from medicalgpt.errors import DataError

DEEPEST: Final = 1_000
"""Elements within one another."""
_DECLARED: Final = re.compile(rb"""\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_SAME: Final = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "cp950"}

Start = Callable[[str, dict[str, str]], None]


def known_codec(name: str) -> str | None:
    """Python's codec for text of a name that a file gives; None of one that it does not know."""
    name = _SAME.get(name.lower(), name.lower())
    try:
        found = codecs.lookup(name)
        "".encode(name)
    except (LookupError, ValueError, UnicodeError):
        return None
    return found.name


def declared_codec(head: bytes) -> str | None:
    """The codec that the first line of an XML file names; None where it names none."""
    found = _DECLARED.match(head)
    codec = known_codec(found[1].decode("ascii")) if found else None
    return None if codec is None or codec.startswith(("utf-16", "utf-32")) else codec  # these are not read as ASCII


class Markup:
    """Parses what it is fed, and calls back.

    Args:
        place: the file, for messages.
        encoding: what it is fed is in this, whatever the file says; None: UTF-8 or UTF-16, as the file says.
        namespaces: names come as `namespace local`; else as they are written.
    """

    def __init__(
        self,
        place: str,
        start: Start,
        end: Callable[[str], None],
        text: Callable[[str], None],
        *,
        encoding: str | None = None,
        namespaces: bool = False,
    ) -> None:
        self._place, self._start, self._end, self._text = place, start, end, text
        self._depth = 0
        self._parser = expat.ParserCreate(encoding, " " if namespaces else None)
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._opened
        self._parser.EndElementHandler = self._closed
        self._parser.CharacterDataHandler = text
        self._parser.StartDoctypeDeclHandler = self._defined
        self._parser.SkippedEntityHandler = self._named

    def feed(self, chunk: bytes, last: bool = False) -> None:
        """Raises DataError for what is not well-formed, nested too deep, or defines entities."""
        try:
            self._parser.Parse(chunk, last)
        except expat.ExpatError as error:
            problem = expat.ErrorString(error.code)
            raise DataError(f"{self._place}:{error.lineno}: not well-formed XML here ({problem})") from None

    def _opened(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise DataError(f"{self._here}: more than {DEEPEST} elements within one another")
        self._start(name, attributes)

    def _closed(self, name: str) -> None:
        self._depth -= 1
        self._end(name)

    def _defined(self, name: str, system: str | None, public: str | None, inside: int) -> None:
        if inside:
            raise DataError(
                f"{self._here}: the document type brings definitions of its own, which are refused: they may grow without end; "
                "remove what stands in [ ] behind <!DOCTYPE, if you trust the file"
            )

    def _named(self, name: str, parameter: int) -> None:
        found = html5.get(f"{name};")
        if found is None:
            raise DataError(f"{self._here}: an entity that nothing in the file defines; write it out")
        self._text(found)

    @property
    def _here(self) -> str:
        return f"{self._place}:{self._parser.CurrentLineNumber}"
