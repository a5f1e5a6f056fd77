"""The output of a batch as a table for people: CSV, TSV or an Excel workbook, in place of JSON lines.

A spreadsheet runs a cell that begins with =, +, - or @ as a formula, and an answer is a stranger's text. In a workbook
every text is typed as text; in CSV and TSV, which know no types, such a cell begins with an apostrophe.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from medicalgpt.errors import ServeError

Row = dict[str, object]

WORKBOOK_ROWS = 1_048_576
CELL_CHARACTERS = 32_767  # both: what Excel holds
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the wide ones count in East Asian Excel


def columns(rows: Iterable[Row]) -> list[str]:
    """Names of all columns, in the order in which rows have them first."""
    return list(dict.fromkeys(name for row in rows for name in row))


def write_csv(path: Path, rows: Callable[[], Iterator[Row]], separator: str = ",") -> None:
    """Write rows under a header in UTF-8 with a byte order mark, without which Excel takes UTF-8 for something else.

    Args:
        rows: gives the rows from the beginning each time it is called.
    """
    names = columns(rows())
    with path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow([_harmless(name) for name in names])
        for row in rows():
            writer.writerow([_plain(row.get(name)) for name in names])


def write_workbook(path: Path, rows: Callable[[], Iterator[Row]]) -> None:
    """Write rows under a header as an Excel workbook; numbers stay numbers, every text is text.

    Raises:
        ServeError: more rows than a workbook holds.
    """
    from xlsxwriter import Workbook

    names = columns(rows())
    with Workbook(str(path), {"constant_memory": True, "in_memory": False}) as book:
        sheet = book.add_worksheet("answers")
        bold, wrapped = book.add_format({"bold": True}), book.add_format({"text_wrap": True, "valign": "top"})
        sheet.freeze_panes(1, 0)
        for place, name in enumerate(names):
            sheet.set_column(place, place, 60 if name in ("question", "response", "Input", "Output") else 16)
            sheet.write_string(0, place, _shortened(name), bold)
        for line, row in enumerate(rows(), 1):
            if line >= WORKBOOK_ROWS:
                raise ServeError(f"a workbook holds {WORKBOOK_ROWS - 1:,} rows, and there are more; choose a .csv")
            for place, value in enumerate(row.get(name) for name in names):
                if isinstance(value, int | float) and not isinstance(value, bool):
                    sheet.write_number(line, place, value)
                elif value is not None:
                    sheet.write_string(line, place, _shortened(_text(value)), wrapped)


def require_workbooks(path: Path) -> None:
    """Raises ServeError where the package that writes workbooks is missing."""
    if find_spec("xlsxwriter") is None:
        raise ServeError(
            f"{path}: a workbook needs XlsxWriter: pip install 'medicalgpt[xlsx]'; or choose a .csv, which Excel opens too"
        )


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _plain(value: object) -> str | int | float | None:
    """A cell of CSV. Numbers stay as they are, and negative ones are none to be afraid of."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return _harmless(_text(value))


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _shortened(text: str) -> str:
    """What fits into a cell; a text that is cut says so and how long it was. A lone surrogate becomes its escape."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    # Excel counts UTF-16 units, of which an emoji has two.
    units = text.encode("utf-16-le")
    if len(units) // 2 <= CELL_CHARACTERS:
        return text
    end = f" … [cut: {len(text):,} characters, a cell holds {CELL_CHARACTERS:,}]"
    return units[: 2 * (CELL_CHARACTERS - len(end))].decode("utf-16-le", "ignore") + end
