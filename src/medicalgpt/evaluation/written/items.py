"""Questions and conversations that are answered in words, with a short reference or with a rubric, as HealthBench has it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from medicalgpt.config.evaluation import NamedTest
from medicalgpt.data.formats import BadRow
from medicalgpt.data.formats.columns import Columns, peek
from medicalgpt.data.formats.fields import decoded
from medicalgpt.data.normal import normalized
from medicalgpt.data.prompts import columns_of, prompt_of
from medicalgpt.data.records import Message, Source
from medicalgpt.data.rows import Reading, Row, open_rows
from medicalgpt.errors import DataError
from medicalgpt.evaluation.items import refuse_rows, subject_of, told_place
from medicalgpt.rewards.matching import references
from medicalgpt.rewards.rubric import Criterion, criteria_of
from medicalgpt.runs.hashes import hash_text

_REFERENCE: Final = ("reference",)
_RUBRIC: Final = ("rubrics", "rubric")
_TAGS: Final = ("tags", "example_tags")
_IDEAL: Final = "ideal_completions_data"  # HealthBench's own, within which the answer of a physician stands
_COMPLETION: Final = ("completion", "answer")
_LABELS: Final = ("labels", "binary_labels")
_WORDS: Final = {
    "open": "no questions with a short reference",
    "rubric": "no conversations with a rubric",
}


@dataclass(frozen=True, slots=True)
class Labels:
    """An answer that people judged: for every criterion what each of them said, met or not."""

    answer: str
    met: tuple[tuple[bool, ...], ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A conversation that is to be answered. `references`: answers of which one should be given; in a test with rubrics, answers
    of people, which only judges are checked with. `criteria`: what an answer is graded by, `tags`: what the conversation is
    about. `where`: file and row, for messages."""

    id: str
    turns: tuple[Message, ...]
    subject: str
    where: str
    references: tuple[str, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    tags: tuple[str, ...] = ()
    labels: Labels | None = None
    gold: tuple[int, ...] = ()


def read_written(test: NamedTest, files: Mapping[str, Path]) -> list[Written]:
    """All items of a test in order.

    Raises:
        DataError: rows without a question, or without the reference or rubric that the test's kind needs; no rows at all.
    """
    found: list[Written] = []
    problems: list[str] = []
    for file in test.files:
        path = files[file.path]
        for row in open_rows(path, test.columns, Reading(encoding=test.encoding)):
            try:
                found.append(_item(test, row, path, file.subject))
            except BadRow as bad:
                problems.append(told_place(path, row, bad))
    refuse_rows(test, problems, len(found), _WORDS[test.kind])
    if not found:
        raise DataError(f"test {test.name}: its files hold no items")
    return _numbered(found)


def _item(test: NamedTest, row: Row, path: Path, subject: str | None) -> Written:
    fields = columns_of(row, {name: column for name, column in test.columns.items() if name != "subject"})
    asked = prompt_of(fields, Source(str(path), row.number), None, strict=False)
    if asked.prompt.tools:
        raise BadRow("it has tools, which no answer of a test may call")
    item = Written("", asked.prompt.messages, subject or subject_of(test, fields), f"{path}:{row.number}")
    if test.kind == "open":
        found = tuple(references(_value(fields, _REFERENCE))) or _list(asked.reference)
        if not found:
            raise BadRow("its reference is missing, blank, or no text or number")
        return replace(item, references=found, turns=_instructed(item.turns, test.instruction))
    try:
        criteria = tuple(criteria_of(decoded_rubric(_value(fields, _RUBRIC))))
    except ValueError as error:
        raise BadRow(f"it has no rubric {error}") from None
    labels = _labels(fields, len(criteria))
    answers = tuple(references(_value(fields, _REFERENCE))) or _ideal(fields)
    if not answers and labels is None:
        answers = _list(asked.reference)
    return replace(item, criteria=criteria, tags=_tags(fields), labels=labels, references=answers)


def decoded_rubric(value: object) -> object:
    """A rubric that a table spells as JSON; any other text is one criterion."""
    if isinstance(value, str) and value.lstrip().startswith(("[{", '["')):
        return decoded(value, _RUBRIC[0])
    return value


def _value(fields: Columns, names: tuple[str, ...]) -> object:
    return next((value for name in names if (value := peek(fields, name)) is not None), None)


def _list(text: str | None) -> tuple[str, ...]:
    return (text,) if text else ()


def _instructed(turns: tuple[Message, ...], instruction: str | None) -> tuple[Message, ...]:
    """The turns, the last one with what the test says of the answer's form."""
    if not instruction:
        return turns
    return (*turns[:-1], replace(turns[-1], content=f"{turns[-1].content}\n\n{instruction}"))


def _ideal(fields: Columns) -> tuple[str, ...]:
    """The answer of a physician in HealthBench's own column, where there is one."""
    found = decoded(peek(fields, _IDEAL), _IDEAL)
    text = found.get("ideal_completion") if isinstance(found, Mapping) else None
    return (text,) if isinstance(text, str) and text.strip() else ()


def _tags(fields: Columns) -> tuple[str, ...]:
    found = decoded(_value(fields, _TAGS), _TAGS[0])
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(tag, str) and tag.strip() for tag in found):
        raise BadRow("its tags are no list of texts")
    return tuple(dict.fromkeys(tag.strip() for tag in found))


def _labels(fields: Columns, criteria: int) -> Labels | None:
    """What people said of an answer: of one criterion all their labels, of several one for each."""
    found = decoded(_value(fields, _LABELS), _LABELS[0])
    if found is None:
        return None
    if not isinstance(found, list) or not found or not all(isinstance(one, bool) for one in found):
        raise BadRow("its labels are no list of true and false")
    if criteria > 1 and len(found) != criteria:
        raise BadRow(f"it has {len(found)} labels for {criteria} criteria")
    answer = _value(fields, _COMPLETION)
    if not isinstance(answer, str) or not answer.strip():
        raise BadRow("it has labels and no answer (completion) that they are of")
    return Labels(answer, (tuple(found),) if criteria == 1 else tuple((one,) for one in found))


def _numbered(items: list[Written]) -> list[Written]:
    """Items with their ids; one that stands there again has the count of its earlier ones in it."""
    seen: dict[str, int] = {}
    found = []
    for item in items:
        texts = [f"{turn.role}: {normalized(turn.content)}" for turn in item.turns]
        texts += [normalized(one.text) for one in item.criteria]
        texts += [item.labels.answer] if item.labels is not None else []
        key = hash_text("\n".join(texts))[:16]
        seen[key] = seen.get(key, 0) + 1
        found.append(replace(item, id=key if seen[key] == 1 else f"{key}-{seen[key]}"))
    return found
