"""Column names: their synonyms in public data sets, how they are folded, and how `data.columns` overrides them."""

from collections.abc import Mapping
from typing import Any

from medicalgpt.config.lookup import did_you_mean
from medicalgpt.data.formats.fields import BadRow
from medicalgpt.errors import DataError

# The canonical name stands first. Upper and lower case, and spaces around a name, make no difference.
QUESTION = ("question", "prompt", "query", "ask", "问", "問", "问题", "問題", "提问", "提問")
ANSWER = ("answer", "response", "completion", "reply", "答", "回答", "答案", "回复", "回覆", "答复", "答覆")
TEXT = ("text", "content", "document", "abstract", "文本", "正文", "内容", "內容", "摘要")
CONVERSATIONS = ("conversations", "conversation")
PROMPTS = (*CONVERSATIONS, "messages", *QUESTION, "instruction")
REPLIES = (*ANSWER, "output")
VERDICT = ("desirable", "kto_tag", "label")

KNOWN_NAMES = frozenset((*PROMPTS, *REPLIES, *TEXT, *VERDICT, "chosen", "rejected"))
CANONICAL = (
    *("text", "question", "answer", "system", "history", "messages", "prompt", "chosen", "rejected", "tools", "input"),
    *("instruction", "output", "conversations", "desirable"),
)


def fold_name(name: object) -> str:
    """The form in which column names are compared."""
    return str(name).strip().casefold()


def check_columns(columns: Mapping[str, str]) -> None:
    """Refuse a `data.columns` with unknown canonical names or one column for two of them.

    Raises:
        DataError: naming the allowed canonical names.
    """
    for name in columns:
        if name not in CANONICAL:
            allowed = ", ".join(sorted(CANONICAL))
            raise DataError(f"data.columns: unknown name '{name}'; allowed: {allowed}{did_you_mean(name, CANONICAL)}")
    taken: dict[str, str] = {}
    for name, column in columns.items():
        other = taken.setdefault(fold_name(column), name)
        if other != name:
            raise DataError(f"data.columns: '{other}' and '{name}' both name the column '{column}'; keep one")


def fold_row(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The row with folded names.

    Raises:
        BadRow: two names differ only in case.
    """
    row = {fold_name(name): value for name, value in fields.items()}
    if len(row) < len(fields):
        names = [fold_name(name) for name in fields]
        if any(names.count(name) > 1 for name in KNOWN_NAMES):
            raise BadRow("two columns whose names differ only in upper and lower case or spaces")
    return row


def rename(row: dict[str, Any], columns: Mapping[str, str]) -> tuple[dict[str, Any], frozenset[str]]:
    """Put mapped columns under their canonical names; also gives the names that were mapped.

    Other columns that could play a mapped one's part are taken out: what the user says goes.
    """
    found = {name: row[fold_name(column)] for name, column in columns.items() if fold_name(column) in row}
    if not found:
        return row, frozenset()
    for group in (PROMPTS, REPLIES, TEXT, VERDICT):
        if any(name in group for name in found):
            row = {name: value for name, value in row.items() if name not in group}
    return {**row, **found}, frozenset(found)
