"""Items of a multiple-choice test, read from its files; nothing of them is kept but ids and numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from medicalgpt.config.evaluation import EmbeddedOptions, NamedTest
from medicalgpt.data.files import ALLOWED, file_type
from medicalgpt.data.formats import BadRow, as_columns, fold_name
from medicalgpt.data.formats.columns import Columns
from medicalgpt.data.formats.fields import QUESTION, optional_text, required_text
from medicalgpt.data.formats.options import LETTERS, Options, options_of
from medicalgpt.data.ledger import place
from medicalgpt.data.normal import normalized
from medicalgpt.data.rows import Reading, Row, open_rows
from medicalgpt.data.rows.workbook import ENDINGS as WORKBOOKS
from medicalgpt.data.rows.workbook import workbook_rows
from medicalgpt.errors import DataError
from medicalgpt.evaluation.answer_key import AnswerKey
from medicalgpt.evaluation.gold import right_options
from medicalgpt.runs.hashes import hash_text

_ASKED: Final = (QUESTION, ("input", "instruction"))
_MOST_PROBLEMS: Final = 5


@dataclass(frozen=True, slots=True)
class Item:
    """One question. `gold`: places of the right options, which `together` are the answer, or else each of which is (a test
    may have an option twice); `where`: its file and row, for messages."""

    id: str
    question: str
    options: tuple[str, ...]
    gold: tuple[int, ...]
    subject: str
    where: str
    together: bool = False

    @property
    def asked(self) -> tuple[str, str]:
        """What stands before the question's last line, and that line."""
        context, _, line = self.question.rpartition("\n")
        return context, line


def read_items(test: NamedTest, files: Mapping[str, Path]) -> list[Item]:
    """All items of a test in order. `files`: where each of its paths was found.

    Raises:
        DataError: rows that are no questions with options and an answer among them, with their places; a question twice
            with different answers.
    """
    found: list[Item] = []
    problems: list[str] = []
    for file in test.files:
        key = AnswerKey(test, files[file.answers.path]) if file.answers is not None else None
        for row in _rows(test, files[file.path], file.sheet):
            try:
                found.append(_item(test, row, files[file.path], file.subject, key))
            except BadRow as bad:
                problems.append(told_place(files[file.path], row, bad))
    refuse_rows(test, problems, len(found), "no questions with options and one of them as the answer")
    if not found:
        raise DataError(f"test {test.name}: its files hold no items")
    return _numbered(found)


def read_examples(test: NamedTest, path: Path, subject: str | None, count: int) -> list[Item]:
    """The first `count` worked examples of a file. Raises DataError where there are fewer, or as `read_items`."""
    found: list[Item] = []
    for row in _rows(test, path):
        if len(found) == count:
            break
        try:
            found.append(_item(test, row, path, subject))
        except BadRow as bad:
            raise DataError(told_place(path, row, bad)) from None
    if len(found) < count:
        raise DataError(f"{path}: {count} worked examples are asked for (few_shot), and the file has {len(found)}")
    return found


def refuse_rows(test: NamedTest, problems: Sequence[str], kept: int, what: str) -> None:
    """Raises DataError where rows of a test are not `what` they should be, with the first of them."""
    if problems:
        more = f"\n… and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
        raise DataError(
            f"test {test.name}: {len(problems)} of {len(problems) + kept} rows are {what}:\n"
            + "\n".join(problems[:_MOST_PROBLEMS])
            + more
        )


def subject_of(test: NamedTest, fields: Columns) -> str:
    """The subject that a row gives itself; "" where the test has no column of subjects, or it is blank."""
    column = test.columns.get("subject")
    return optional_text(fields.folded, (fold_name(column),)) if column else ""


def told_place(path: Path, row: Row, bad: BadRow) -> str:
    """A row's place, and what is wrong with it."""
    return f"{place(path, row.number, row.line)}: {bad.reason}" + (f" ({bad.where})" if bad.where else "")


def _rows(test: NamedTest, path: Path, sheet: str | None = None) -> Iterator[Row]:
    """Rows of a file of any type. Raises DataError for a type that is none of questions."""
    if path.suffix.casefold() in WORKBOOKS:
        return workbook_rows(path, _columns(test), sheet)
    if not file_type(path):
        raise DataError(f"{path}: this file type holds no questions; {ALLOWED}, or a workbook ({', '.join(WORKBOOKS)})")
    return open_rows(path, _columns(test), Reading(encoding=test.encoding))


def _columns(test: NamedTest) -> dict[str, str]:
    """Columns that rows are read by: subjects and ids are ours."""
    return {name: column for name, column in test.columns.items() if name not in ("subject", "id")}


def _item(test: NamedTest, row: Row, path: Path, subject: str | None, key: AnswerKey | None = None) -> Item:
    if row.fields is None:
        raise row.refused
    fields, _ = as_columns(row.fields if key is None else key.with_answer(row.fields), _columns(test))
    question = required_text(fields, *_ASKED)
    options = _embedded(question, test.embedded) if test.embedded else options_of(fields)
    if options is None or options.block or len(options.texts) < 2:
        raise BadRow("fewer than two options")
    if (missing := _gap(options)) is not None:
        raise BadRow(
            "an option in the midst of others is blank", f"{missing}: its letter and number would be the next one's"
        )
    if test.embedded:
        question = _before(question, test.embedded)
    gold = right_options(fields, options, test.answer_is)
    texts = tuple(options.texts.values())
    together = len({texts[place].strip() for place in gold}) > 1
    told = subject or subject_of(test, fields)
    return Item("", question, texts, gold, told, f"{path}:{row.number}", together)


def _gap(options: Options) -> str | None:
    """The first letter that has no option although a later one has."""
    return next((letter for letter, given in zip(LETTERS, options.texts) if letter != given), None)


def _embedded(text: str, marks: EmbeddedOptions) -> Options:
    _, found, after = text.partition(marks.before_options)
    if not found:
        raise BadRow("the question does not hold its options as `embedded` says")
    texts = [option.strip() for option in after.split(marks.between)]
    if len(texts) > len(LETTERS):
        raise BadRow(f"the question holds {len(texts)} options, and at most {len(LETTERS)} are read; check `embedded`")
    return Options(dict(zip(LETTERS, texts)))


def _before(text: str, marks: EmbeddedOptions) -> str:
    return text.partition(marks.before_options)[0].removeprefix(marks.before_question).strip()


def item_key(question: str, options: tuple[str, ...]) -> str:
    """What an item is known by wherever it stands: its question and options in any order, normalized and hashed."""
    texts = [normalized(question), *sorted(map(normalized, options))]
    return hash_text("\n".join(texts))[:16]


def _numbered(items: list[Item]) -> list[Item]:
    """Items with their ids; one that is asked again has the count of its earlier ones in it."""
    seen: dict[str, int] = {}
    found = []
    for item in items:
        key = item_key(item.question, item.options)
        seen[key] = seen.get(key, 0) + 1
        name = key if seen[key] == 1 else f"{key}-{seen[key]}"
        found.append(replace(item, id=name))
    return found
