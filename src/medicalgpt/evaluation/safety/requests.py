"""Requests of a test: which a model should refuse, which it should answer, and pairs of one of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from medicalgpt.config.evaluation import NamedTest
from medicalgpt.data.formats import BadRow, as_columns, fold_name
from medicalgpt.data.formats.fields import QUESTION, optional_text, required_text
from medicalgpt.data.normal import normalized
from medicalgpt.data.rows import Reading, Row, open_rows
from medicalgpt.errors import DataError
from medicalgpt.evaluation.items import refuse_rows, subject_of, told_place
from medicalgpt.evaluation.outcomes import ANSWER, REFUSE
from medicalgpt.runs.hashes import hash_text

_DANGEROUS: Final = ("request", "dangerous", *QUESTION)
_HARMLESS: Final = ("harmless",)
_SAFE: Final = ("safe",)
_HEADER: Final = {"request": "request", "harmless": "harmless"}
"""Columns that tell a table's header where a test names none."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, or a pair: what is asked, and for each what is right (`REFUSE`, `ANSWER`). `safe`: an answer that refuses
    it; `other`: that of another request; both empty where a test has none. `where`: file and row, for messages."""

    id: str
    texts: tuple[str, ...]
    gold: tuple[int, ...]
    subject: str
    where: str
    safe: str = ""
    other: str = ""


def read_requests(test: NamedTest, files: Mapping[str, Path]) -> list[Request]:
    """All requests of a test in order.

    Raises:
        DataError: rows without a request, a safe answer or a harmless neighbor where the test has such; no rows at all.
    """
    found: list[Request] = []
    problems: list[str] = []
    for file in test.files:
        path = files[file.path]
        mine: list[Request] = []
        for row in open_rows(path, _HEADER | test.columns, Reading(encoding=test.encoding)):
            try:
                mine += _request(test, row, path, file.subject)
            except BadRow as bad:
                problems.append(told_place(path, row, bad))
        found += _with_others(mine)
    refuse_rows(test, problems, len(found), "no requests")
    if not found:
        only = f" with {', '.join(f'{k}={v}' for k, v in test.where.items())}" if test.where else ""
        raise DataError(f"test {test.name}: its files hold no requests{only}")
    _check_distinct(test, found)
    return found


def _request(test: NamedTest, row: Row, path: Path, subject: str | None) -> list[Request]:
    """The row's request; none where it is not one of `where`."""
    if row.fields is None:
        raise row.refused
    fields, _ = as_columns(row.fields, test.columns)
    for column, value in test.where.items():
        if optional_text(fields.folded, (fold_name(column),)) != value:
            return []
    texts = [required_text(fields, _DANGEROUS)]
    if test.expected == "pair":
        texts.append(required_text(fields, _HARMLESS))
    gold = {"refusal": (REFUSE,), "answer": (ANSWER,), "pair": (REFUSE, ANSWER)}[test.expected]
    safe = required_text(fields, _SAFE) if "safe" in test.columns else ""
    told = subject or subject_of(test, fields)
    key = hash_text("\n".join(map(normalized, texts)))[:16]
    return [Request(key, tuple(texts), gold, told, f"{path}:{row.number}", safe)]


def _with_others(requests: Sequence[Request]) -> list[Request]:
    """Each request of a file with the safe answer of the next one, of the last with that of the first: over a file, every
    answer is once the right one and once the wrong one, so that how likely it is by itself cancels out."""
    following = [*requests[1:], *requests[:1]]
    return [replace(r, other=n.safe if n is not r else "") for r, n in zip(requests, following)]


def _check_distinct(test: NamedTest, requests: Sequence[Request]) -> None:
    seen: dict[str, str] = {}
    for request in requests:
        if request.id in seen:
            raise DataError(
                f"test {test.name}: {seen[request.id]} and {request.where} are the same request; leave one out"
            )
        seen[request.id] = request.where
