"""What an output file's name asks for: JSON lines, a JSON list, CSV, TSV or an Excel workbook. Any other format is refused."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from medicalgpt.errors import ServeError
from medicalgpt.generate.spreadsheet import Row, require_workbooks, write_csv, write_workbook

Writer = Callable[[Path, Callable[[], Iterator[Row]]], None]
"""Writes a new file from rows, which it may read several times."""

ALLOWED = "allowed: .jsonl (JSON lines, also for other names), .json (one list), .csv, .tsv, .xlsx"

# Names of formats that are not written: JSON lines under such a name would be opened by a program that cannot read them.
_OTHERS = frozenset(
    {".xls", ".xlsm", ".ods", ".numbers", ".parquet", ".arrow", ".feather", ".db", ".sqlite", ".xml", ".html", ".htm"}
    | {".md", ".pdf", ".doc", ".docx", ".rtf", ".yaml", ".yml", ".toml", ".gz", ".bz2", ".xz", ".zst", ".zip", ".tar"}
)


def layout_of(target: Path, lines: bool = False) -> Writer | None:
    """How the rows of `target` are written; None for JSON lines, in which they are gathered anyway.

    Args:
        lines: a .json file holds JSON lines, too, as it always did for the long-standing scripts.

    Raises:
        ServeError: the name is that of a format which is not written here, or a package for it is missing.
    """
    ending = target.suffix.lower()
    if ending in _OTHERS:
        raise ServeError(f"{target}: answers are not written as {ending}; {ALLOWED}")
    if ending == ".xlsx":
        require_workbooks(target)
        return write_workbook
    if ending in (".csv", ".tsv"):
        return partial(write_csv, separator="\t" if ending == ".tsv" else ",")
    return _write_list if ending == ".json" and not lines else None


def _write_list(path: Path, rows: Callable[[], Iterator[Row]]) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write("[")
        for number, row in enumerate(rows()):
            file.write((",\n" if number else "\n") + json.dumps(row, ensure_ascii=False))
        file.write("\n]\n")
