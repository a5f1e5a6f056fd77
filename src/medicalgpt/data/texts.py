"""Plain text out of files of any shape, for tokenizers to be trained and measured on."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from medicalgpt.data.files import by_folder, skipped_lines
from medicalgpt.data.formats import BadRow
from medicalgpt.data.ledger import EMPTY, EmptyFile, Ledger
from medicalgpt.data.read_row import record_texts, row_record
from medicalgpt.data.reader import read
from medicalgpt.data.records import Kind
from medicalgpt.data.rows import DETECTED, Reading, open_rows
from medicalgpt.data.sources import Found, Given, find, source_lines
from medicalgpt.errors import DataError

Say = Callable[[str], None]


def texts(paths: Sequence[Given], reading: Reading = DETECTED, say: Say = lambda line: None) -> Iterator[str]:
    """Every text of every record behind files and folders: documents, and the turns of dialogues and preferences.

    Rows that cannot be read are left out, and files of folders that are empty.

    Args:
        say: gets a line about what was left out: files of folders at once, rows of a file when it is read.

    Raises:
        DataError: at once for paths; while iterating for a file without any row that can be read.
    """
    found = find(paths, reading)
    for line in [*source_lines(found.named), *skipped_lines(by_folder(found.skipped))]:
        say(line)
    return _texts(found, found.limited(reading), say)


def _texts(found: Found, reading: Reading, say: Say) -> Iterator[str]:
    for file in found.files:
        try:
            kind = _kind(file, reading)
        except EmptyFile:
            if file in found.inside:
                say(f"{file}: {EMPTY}")
                continue
            raise
        ledger = Ledger()
        for record in read([file], kind, on_bad_row="drop", max_bad_share=1.0, ledger=ledger, reading=reading):
            yield from (text for text in record_texts(record) if text)
        for (_, reason), rows in ledger.reasons.items():
            say(f"{file}: {rows} of {sum(ledger.seen.values())} rows left out: {reason}")


def _kind(file: Path, reading: Reading) -> Kind:
    """The kind of the first row that can be read."""
    reason = ""
    for row in open_rows(file, {}, reading):
        try:
            return row_record(row, str(file), {})[0].kind
        except BadRow as bad:
            reason = bad.reason
    if not reason:
        raise EmptyFile(file)
    raise DataError(f"{file}: no row can be read: {reason}; `medicalgpt data inspect` shows what is in it")
