"""Plain text out of files of any shape, for tokenizers to be trained and measured on."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from medicalgpt.data.files import expand
from medicalgpt.data.formats import BadRow
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read, record_texts, row_record
from medicalgpt.data.records import Kind
from medicalgpt.data.rows import open_rows
from medicalgpt.errors import DataError


def texts(paths: Sequence[str | Path]) -> Iterator[str]:
    """Every text of every record behind files and folders: documents, and the turns of dialogues and preferences.

    Rows that cannot be read are left out.

    Raises:
        DataError: at once for paths; while iterating for a file without any row that can be read.
    """
    return _texts(expand(paths))


def _texts(files: Sequence[Path]) -> Iterator[str]:
    for file in files:
        for record in read([file], _kind(file), on_bad_row="drop", max_bad_share=1.0, ledger=Ledger()):
            yield from (text for text in record_texts(record) if text)


def _kind(file: Path) -> Kind:
    """The kind of the first row that can be read."""
    reason = "it has no rows"
    for row in open_rows(file, {}):
        try:
            return row_record(row, str(file), {})[0].kind
        except BadRow as bad:
            reason = bad.reason
    raise DataError(f"{file}: no row can be read: {reason}; `medicalgpt data inspect` shows what is in it")
