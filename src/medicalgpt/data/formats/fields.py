"""Columns and their values: names and synonyms, how `data.columns` overrides them, and checks of single fields.

A reason never quotes the field: it may be a patient's words.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from medicalgpt.config.near_names import did_you_mean
from medicalgpt.data.formats.columns import is_media, is_option, peek
from medicalgpt.errors import DataError


class BadRow(Exception):
    """A row that cannot be used: `reason` is counted in the ledger, `where` places it within the row, and `allowed`
    is what the row's shape expects."""

    def __init__(self, reason: str, where: str = "", allowed: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = where
        self.allowed = allowed


class NotLearned(BadRow):
    """A row that says itself that nothing of it is to be learned. It is dropped and counted, and no fault of the data."""


def type_name(value: object) -> str:
    """A value's type in plain words."""
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def checked_text(value: object, label: str) -> str:
    """`value` as text that is not blank.

    Raises:
        BadRow: null, another type, blank, or text that no encoding can write.
    """
    if value is None:
        raise BadRow(f"{label} is null")
    if not isinstance(value, str):
        raise BadRow(f"{label} is {type_name(value)}, not text")
    if not value.strip():
        raise BadRow(f"{label} is blank")
    if not is_writable(value):
        raise BadRow(f"{label} holds half of a surrogate pair (broken \\ud83d-like escape)")
    return value


def is_writable(text: str) -> bool:
    """Whether an encoding can write it: JSON may spell half of a surrogate pair."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def find(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Which of `names` the row has; the first one wins over its synonyms, one with a value over one that is null.

    Raises:
        BadRow: several synonyms have values, so it is unclear which one is meant.
    """
    present = [name for name in names if name in row]
    filled = [name for name in present if peek(row, name) is not None]
    if names[0] in filled or len(filled) == 1:
        return filled[0]
    if len(filled) > 1:
        two = " and ".join(repr(name) for name in filled)
        raise BadRow(f"{two} could each be the {names[0]}; choose with data.columns={{{names[0]}: NAME}}")
    return present[0] if present else None


def find_in(row: Mapping[str, Any], groups: Sequence[Sequence[str]]) -> str | None:
    """As `find`, in the first of several groups that has a value. Raises BadRow."""
    present = None
    for names in groups:
        name = find(row, names)
        if name is not None and peek(row, name) is not None:
            return name
        present = present or name
    return present


def required_text(row: Mapping[str, Any], *groups: Sequence[str]) -> str:
    """The text of the one column that the first of `groups` (canonical name, then synonyms) finds.

    Raises:
        BadRow: missing, null, blank, or not text.
    """
    name = find_in(row, groups)
    if name is None:
        raise BadRow(f"{groups[0][0]} is missing")
    return checked_text(row[name], name)


def optional_text(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """The text of a column that may be absent, null or blank: then "".

    Raises:
        BadRow: another type.
    """
    name = next((name for name in names if not _is_blank(peek(row, name))), None)
    return checked_text(row[name], name) if name else ""


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def decoded(value: object, label: str) -> Any:
    """A structure that a table had to spell as JSON text, decoded; any other value, and blank text as None, unchanged.

    Raises:
        BadRow: text that is not JSON.
    """
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadRow(f"{label} is text that is not JSON") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


# The canonical name stands first. Upper and lower case, and spaces around a name, make no difference.
QUESTION = ("question", "prompt", "query", "ask", "问", "問", "问题", "問題", "提问", "提問")
ANSWER = ("answer", "response", "completion", "reply", "答", "回答", "答案", "回复", "回覆", "答复", "答覆")
TEXT = ("text", "content", "document", "abstract", "文本", "正文", "内容", "內容", "摘要")
CONVERSATIONS = ("conversations", "conversation")
PROMPTS = (*CONVERSATIONS, "messages", *QUESTION, "instruction")
REPLIES = (*ANSWER, "output")
TARGET = ("target",)  # an answer only where no other column is one: many tables have a target that is a class
VERDICT = ("desirable", "kto_tag", "label")
CHOSEN = (
    *("chosen", "chosen_messages", "chosen_response", "response_chosen", "chosen_answer", "answer_chosen"),
    "preferred_output",
)
REJECTED = (
    *("rejected", "rejected_messages", "rejected_response", "response_rejected", "rejected_answer", "answer_rejected"),
    "non_preferred_output",
)
SYSTEM = ("system", "system_prompt")
INPUT = ("input", "context")
TOOLS = ("tools", "functions")
ANSWER_FROM = ("answer_from_0", "answer_from_1")  # only by data.columns: a number, and where it begins to count
CHOICE = ("options", *(f"option_{letter}" for letter in "abcdefghij"), *ANSWER_FROM)
WEIGHT = (
    *("weight", "loss_weight", "sample_weight", "loss_scale", "loss", "loss_mask", "train", "train_detail"),
    *("masked", "mask"),
)

KNOWN_NAMES = frozenset((*PROMPTS, *REPLIES, *TARGET, *TEXT, *VERDICT, *CHOSEN, *REJECTED, "input"))
NOTE: Final = "note"  # in data.columns: a remark for people, which is not learned
CANONICAL = (
    *("text", "question", "answer", "system", "history", "messages", "prompt", "chosen", "rejected", "tools", "input"),
    *("instruction", "output", "conversations", "desirable", "weight", "images", NOTE),
    *CHOICE,
)
_PARTS = (PROMPTS, (*REPLIES, *TARGET), TEXT, VERDICT, CHOSEN, REJECTED, SYSTEM, INPUT, TOOLS, WEIGHT)
NONE: Final = "-"  # in data.columns: no column has this part, whatever its name


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
    if columns.get("images", NONE) != NONE:
        raise DataError('data.columns: pictures and sound are not read; images can only be "-", which leaves them out')
    taken: dict[str, str] = {}
    for name, column in named(columns).items():
        other = taken.setdefault(fold_name(column), name)
        if other != name:
            raise DataError(f"data.columns: '{other}' and '{name}' both name the column '{column}'; keep one")


def named(columns: Mapping[str, str]) -> dict[str, str]:
    """The entries of `data.columns` that name a column which rows need; a remark for people may be missing."""
    return {name: column for name, column in columns.items() if column != NONE and name != NOTE}


def fold_row(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The row with folded names; what OpenAI's preference rows hold within `input` stands beside it.

    Raises:
        BadRow: two names differ only in case.
    """
    row = {fold_name(name): value for name, value in fields.items()}
    if len(row) < len(fields):
        names = [fold_name(name) for name in fields]
        if any(names.count(name) > 1 for name in KNOWN_NAMES):
            raise BadRow("two columns whose names differ only in upper and lower case or spaces")
    inner = row.get("input")
    if isinstance(inner, Mapping) and "messages" in inner and "messages" not in row:
        del row["input"]
        for name, value in inner.items():
            row[str(name) if name in ("messages", "tools") else f"input.{name}"] = value
    return row


def rename(row: dict[str, Any], columns: Mapping[str, str]) -> tuple[dict[str, Any], frozenset[str]]:
    """Put mapped columns under their canonical names; also gives the names that were mapped.

    Other columns that could play a mapped one's part are taken out, and so is the mapped one from the part that its own
    name stands for: what the user says goes, and no column is read twice.
    """
    if not columns:
        return row, frozenset()
    wanted = {name: fold_name(column) for name, column in columns.items() if column != NONE}
    found = {name: row[column] for name, column in wanted.items() if column in row}
    none = {name for name, column in columns.items() if column == NONE}
    moved = {wanted[name] for name in found}
    rest = {name: value for name, value in row.items() if name not in moved}
    for part in (*found, *none):
        rest = {name: value for name, value in rest.items() if not _plays(name, part)}
    return {**rest, **found}, frozenset(found)


def _plays(name: str, part: str) -> bool:
    """Whether a column of this name would be taken for the part that a canonical name stands for."""
    if part == "images":
        return is_media(name)
    if part == "options":
        return is_option(name)
    return name == part or any(part in names and name in names for names in _PARTS)
