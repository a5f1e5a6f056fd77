"""Documents: a text column, or a whole .txt or .md file."""

from collections.abc import Mapping
from typing import Any, Final

from medicalgpt.data.formats.fields import required_text
from medicalgpt.data.formats.names import TEXT
from medicalgpt.data.records import Document, Kind, Source

NAME: Final = "document"
KIND: Final[Kind] = "document"
EXPECTS: Final = "text (or content, document, abstract, 文本, 正文, 内容, 摘要), or a .txt or .md file with text in it"
COLUMNS: Final = frozenset(TEXT)


def matches(row: Mapping[str, Any]) -> bool:
    """Whether the row has this shape."""
    return any(name in row for name in TEXT)


def convert(row: Mapping[str, Any], source: Source) -> Document:
    """The row as a document. Raises BadRow."""
    return Document(required_text(row, TEXT), source)
