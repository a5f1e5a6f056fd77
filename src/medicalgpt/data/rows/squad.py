"""SQuAD's nested form, in which reading-comprehension sets come: an article's paragraphs, each with its questions.

`{"data": [{"title": …, "paragraphs": [{"context": …, "qas": [{"question": …, "answers": [{"text": …}]}]}]}]}`
"""

from collections.abc import Iterator
from typing import Any, Final, TypeGuard

from medicalgpt.data.rows.row import Row

SEVERAL: Final = "a SQuAD question has several answers, of which the first is read"
_TAKEN: Final = ("qas", "answers", "context")


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
