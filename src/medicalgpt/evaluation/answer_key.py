"""Right answers that stand in a file of their own, under the ids of the items."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from medicalgpt.config.evaluation import NamedTest
from medicalgpt.data.encoding import open_text
from medicalgpt.data.files import file_type
from medicalgpt.data.formats import BadRow, fold_name
from medicalgpt.data.ledger import place
from medicalgpt.data.rows import Reading, open_rows
from medicalgpt.errors import DataError

_MOST: Final = 64 << 20  # characters of a .json file, which is read as a whole


class AnswerKey:
    """Answers of one file by id: a JSON object `{id: answer}` or `{id: {"answer": …}}`, or rows with both columns.

    Raises:
        DataError: the file cannot be read, a row has no id or no answer, or an id has two answers.
    """

    def __init__(self, test: NamedTest, path: Path) -> None:
        self.path, self.asked = path, set[str]()
        self.id, self.answer = test.columns.get("id", "id"), test.columns.get("answer", "answer")
        self._answers: dict[str, object] = {}
        for where, name, value in self._entries(test):
            if name in self._answers:
                raise DataError(f"{where}: its id has an answer already; every id may stand here once")
            self._answers[name] = value

    def with_answer(self, fields: Mapping[str, object]) -> dict[str, object]:
        """A row of items with its answer. Raises BadRow where it has no id, one of another row, or one without an answer."""
        name = _id(_find(fields, self.id))
        if not name:
            raise BadRow(f"no id in the column '{self.id}', under which its answer stands in {self.path.name}")
        if name in self.asked:
            raise BadRow(f"its id is another row's, too, and {self.path.name} has one answer for both")
        self.asked.add(name)
        if name not in self._answers:
            raise BadRow(f"{self.path.name} has no answer under its id")
        own = _find(fields, self.answer)
        if own not in (None, "", self._answers[name]):
            raise BadRow(f"its own column '{self.answer}' says something else than {self.path.name}")
        rest = {key: value for key, value in fields.items() if fold_name(key) != fold_name(self.answer)}
        return rest | {self.answer: self._answers[name]}

    def _entries(self, test: NamedTest) -> Iterator[tuple[str, str, object]]:
        """Where each answer stands, its id, and the answer."""
        if file_type(self.path) == ".json" and (found := self._object(test)) is not None:
            for number, (name, value) in enumerate(found, 1):
                where = place(self.path, number)
                answer = _find(value, self.answer) if isinstance(value, Mapping) else value
                yield where, name, _present(answer, where, self.answer)
            return
        columns = {name: column for name, column in test.columns.items() if name in ("id", "answer")}
        for row in open_rows(self.path, columns, Reading(encoding=test.encoding)):
            where = place(self.path, row.number, row.line)
            if row.fields is None:
                raise DataError(f"{where}: {row.problem}")
            name = _id(_find(row.fields, self.id))
            if not name:
                raise DataError(f"{where}: no id in the column '{self.id}'; name another with columns: {{id: NAME}}")
            yield where, name, _present(_find(row.fields, self.answer), where, self.answer)

    def _object(self, test: NamedTest) -> list[tuple[str, object]] | None:
        """Members of a file that is one JSON object, doubles among them; None where it is a list."""
        with open_text(self.path, newline="", encoding=test.encoding) as file:
            text = file.read(_MOST + 1)
        if len(text) > _MOST:
            raise DataError(f"{self.path}: more than {_MOST >> 20} Mi characters; give the answers as .jsonl or .csv")
        if not text.lstrip().startswith("{"):
            return None
        try:
            # Members as pairs, so that an id that stands twice is seen.
            pairs = json.loads(text, object_pairs_hook=list)
        except (ValueError, RecursionError) as error:
            line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
            raise DataError(f"{self.path}{line}: not readable as JSON; correct the file or fetch it again") from None
        return [(name.strip(), dict(value) if _is_pairs(value) else value) for name, value in pairs]


def _is_pairs(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, tuple) for one in value)


def _find(fields: Mapping[str, object], column: str) -> object:
    return next((value for name, value in fields.items() if fold_name(name) == fold_name(column)), None)


def _id(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _present(value: object, where: str, column: str) -> object:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise DataError(f"{where}: no answer in '{column}'; name another with columns: {{answer: NAME}}")
    return value
