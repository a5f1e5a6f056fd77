"""Plain text with one question a line, beside the shapes that training reads; and which of the two a file is."""

from collections.abc import Iterator
from pathlib import Path

from medicalgpt.data.encoding import is_damaged, numbered_lines
from medicalgpt.data.files import file_type
from medicalgpt.data.passed_over import DOCUMENTS
from medicalgpt.data.rows import Row, open_rows
from medicalgpt.data.rows.json_text import NOT_DECODED, jsonl_rows
from medicalgpt.errors import DataError

TYPES = (".jsonl", ".json", ".csv", ".tsv", ".xlsx", ".parquet", ".arrow")
ALLOWED = f"allowed: {', '.join(TYPES)}, and .txt with one question a line (each also compressed: .gz .bz2 .xz .zst)"


def prompt_rows(path: Path) -> Iterator[Row]:
    """The rows of one file. Text whose lines are JSON objects is read as JSON Lines, whatever the file is called.

    Raises:
        DataError: there is no such file, or its type holds no prompts; while iterating, it cannot be read.
    """
    if file_type(path) in TYPES and file_type(path) != ".jsonl" and path.is_file():
        return open_rows(path, {})
    return _question_rows(path) if is_plain(path) else jsonl_rows(path, tolerant=True)


def is_plain(path: Path) -> bool:
    """Whether the file is text with one question a line. Raises DataError as `prompt_rows`."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; {ALLOWED}")
    kind = file_type(path)
    if kind in TYPES:
        return False
    if kind in (".md", *DOCUMENTS):
        raise DataError(f"{path}: this file type holds no prompts; {ALLOWED}")
    first = next((line for _, line in numbered_lines(path, newline=None, tolerant=True)), "")
    return not first.lstrip().startswith("{")


def describe(path: Path, count: int) -> str:
    """What a file was taken for, for people."""
    kind = "questions, one a line" if is_plain(path) else "rows"
    return f"{path}: {count} {kind}"


def _question_rows(path: Path) -> Iterator[Row]:
    for number, line in numbered_lines(path, newline=None, tolerant=True):
        yield Row(number, None, NOT_DECODED) if is_damaged(line) else Row(number, {"question": line.strip()})
