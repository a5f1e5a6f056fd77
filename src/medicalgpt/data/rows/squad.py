"""SQuAD's forms, in which reading-comprehension sets come: an article's paragraphs, each with its questions, or a table of these.

`{"data": [{"title": …, "paragraphs": [{"context": …, "qas": [{"question": …, "answers": [{"text": …}]}]}]}]}`, or as Hugging Face
datasets has it: columns `context`, `question` and `answers`, which is flattened to `answers.text` and `answers.answer_start`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, TypeGuard

from medicalgpt.data.rows.row import Row

SEVERAL: Final = "a SQuAD question has several answers, of which the first is read"
_TAKEN: Final = ("qas", "answers", "context")
_FLAT: Final = ("answers.text", "answers.answer_start")


def is_article(value: object) -> bool:
    """Whether a value is an article with paragraphs, or a paragraph with questions."""
    if not isinstance(value, dict):
        return False
    if _objects(value.get("qas")):
        return True
    paragraphs = value.get("paragraphs")
    return _objects(paragraphs) and any(_objects(paragraph.get("qas")) for paragraph in paragraphs)


def question_rows(number: int, article: dict[str, object]) -> Iterator[Row]:
    """A row for each question, numbered from `number`: `question`, `context`, the first text of `answers` as `answer`, and
    what stands beside the question. Without such a text there is no `answer`.
    """
    paragraphs = article["paragraphs"] if "qas" not in article else [article]
    assert isinstance(paragraphs, list)
    for paragraph in paragraphs:
        questions = paragraph.get("qas")
        if not _objects(questions):
            yield Row(number, None, "a SQuAD paragraph without questions")
            number += 1
            continue
        for asked in questions:
            fields = {"context": paragraph.get("context"), **{k: v for k, v in asked.items() if k not in _TAKEN}}
            texts = _texts(asked.get("answers"))
            if texts:
                fields["answer"] = texts[0]
            yield Row(number, fields, note=SEVERAL if len(set(texts)) > 1 else "")
            number += 1


def with_answer(row: Row) -> Row:
    """A question of such a table with the first text of its answers as `answer`; any other row as it is."""
    fields = row.fields
    if fields is None or "question" not in fields or "answer" in fields:
        return row
    whole = fields.get("answers")
    if _FLAT[0] not in fields and not (isinstance(whole, dict) and "text" in whole):
        return row
    texts = _texts({"text": fields[_FLAT[0]]} if _FLAT[0] in fields else whole)
    rest = {name: value for name, value in fields.items() if name not in ("answers", *_FLAT)}
    return replace(
        row, fields=rest | ({"answer": texts[0]} if texts else {}), note=SEVERAL if len(set(texts)) > 1 else ""
    )


def _objects(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _texts(answers: object) -> list[str]:
    """The texts of answers, as SQuAD has them or as Hugging Face datasets turns them (`{"text": [...]}`)."""
    if isinstance(answers, dict):  # as a table has them
        found = answers.get("text")
        texts = found if isinstance(found, list) else [found]
    else:
        texts = [a.get("text") for a in answers if isinstance(a, dict)] if isinstance(answers, list) else []
    return [text for text in texts if isinstance(text, str) and text.strip()]
