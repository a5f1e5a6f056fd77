"""A `data.columns` for files whose columns have names of their own, guessed from names and contents; tried before it is shown."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from medicalgpt.data.formats import BadRow
from medicalgpt.data.formats.columns import shown
from medicalgpt.data.read_row import row_record
from medicalgpt.data.records import Kind
from medicalgpt.data.rows import Reading, Row, UnknownHeader, open_rows
from medicalgpt.errors import DataError

ROWS: Final = 20  # rows that a guess is made from
_WORDS: Final = {
    "chosen": re.compile(r"chosen|preferred|better|good|win"),
    "rejected": re.compile(r"reject|worse|bad|lose"),
    "question": re.compile(
        r"question|query|prompt|request|ask|inquiry|problem|utterance|patient|complaint|问|問|主诉|主訴|咨询|諮詢|患者|病人"
    ),
    "answer": re.compile(
        r"answer|response|reply|output|solution|completion|doctor|physician|advice"
        r"|答|回复|回覆|医嘱|醫囑|建议|建議|医生|醫生|医师|醫師"
    ),
    "text": re.compile(r"text|body|article|passage|note|summary|文|内容|內容|病历|病歷"),
}
_KINDS: Final[tuple[tuple[str, ...], ...]] = (("question", "chosen", "rejected"), ("question", "answer"), ("text",))


def guess_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What `data.columns` might be, so that every one of the rows can be read; empty where nothing fits."""
    rows = rows[:ROWS]
    names = list(dict.fromkeys(name for row in rows for name in row))[:100]
    texts = [name for name in names if all(_text(row.get(name)) for row in rows) and shown(name) == name]
    by_name: dict[str, str] = {}
    for part, words in _WORDS.items():
        # Not preferred holds preferred, and the longest text of several that fit is more than an id or a label.
        fitting = [n for n in texts if words.search(n.casefold()) and n not in by_name.values()]
        if part == "chosen":
            fitting = [n for n in fitting if not re.search(r"non|not|un|dis", n.casefold())]
        if fitting:
            by_name[part] = max(fitting, key=lambda n: sum(len(row[n]) for row in rows))
    for parts in _KINDS:
        found: dict[str, str] = {part: by_name[part] for part in parts if part in by_name}
        rest = [name for name in texts if name not in found.values()]
        if len(found) == len(parts) - 1 and len(rest) == 1 and found:
            found |= {part: rest[0] for part in parts if part not in found}
        if len(found) == len(parts) and _fits(rows, found):
            return found
    return {}


def as_setting(columns: Mapping[str, str]) -> str:
    """The line to copy, quoted for a shell and for YAML."""
    return "'data.columns=" + json.dumps(columns, ensure_ascii=False).replace("'", "'\\''") + "'"


def hint(columns: Mapping[str, str], kinds: Collection[Kind], reading: Reading, path: Path) -> str:
    """For the end of an error about a file without a good row: a setting with which its first rows become one of `kinds`.

    Empty where the user said already which column holds what, or where one of these rows is good, or where nothing fits.
    """
    if columns:
        return ""
    rows: list[Mapping[str, Any]] = []
    try:
        for row in islice(open_rows(path, {}, reading), ROWS):
            if row.fields is not None:
                rows.append(row.fields)
    except UnknownHeader as unknown:
        rows = list(unknown.rows)
    except DataError:  # what lies behind is of no use either
        pass
    if not rows or any(_fits([row], {}) for row in rows):
        return ""
    guess = guess_columns(rows)
    fits = guess and row_record(Row(1, dict(rows[0])), "", guess).shape.kind in kinds
    return f"; perhaps {as_setting(guess)}" if fits else ""


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _fits(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> bool:
    try:
        for number, row in enumerate(rows, 1):
            row_record(Row(number, dict(row)), "", columns)
    except (BadRow, DataError):
        return False
    return True
