"""Tests whose right answers stand in a second file, under the items' ids."""

import json
from pathlib import Path
from typing import Any

import pytest

from medicalgpt.config.evaluation import NamedTest
from medicalgpt.errors import DataError
from medicalgpt.evaluation.catalog import ItemFolder, known_tests, locate
from medicalgpt.evaluation.items import Item, read_items
from medicalgpt.runs.hashes import hash_file

ROWS = [
    {"id": 7, "category": "Privacy", "question": "May a nurse post a chart online?", "options": ["Yes", "No"]},
    {
        "id": 3,
        "category": "Health",
        "question": "Who adjusts insulin?",
        "options": ["A neighbor", "The web", "A doctor"],
    },
]


def facts(answers: str) -> dict[str, Any]:
    named = {"name": "own", "title": "Own", "license": "ours", "origin": "here", "language": "en", "group": "safety"}
    files = [{"path": "items.json", "answers": {"path": answers}}]
    return named | {"files": files, "columns": {"subject": "category"}, "answer_is": "from_0"}


def read(folder: Path, key: str, name: str = "key.json", rows: Any = ROWS, **more: Any) -> list[Item]:
    (folder / "items.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / name).write_text(key, encoding="utf-8")
    test = NamedTest.model_validate(facts(name) | more)
    return read_items(test, {"items.json": folder / "items.json", name: folder / name})


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("key.json", '{"3": {"category": "Health", "answer": 2}, "7": {"answer": 1}, "8": {"answer": 0}}'),
        ("key.json", '{"3": 2, "7": "1"}'),
        ("key.json", '[{"id": 3, "answer": 2}, {"id": 7, "answer": 1}]'),
        ("key.jsonl", '{"id": "3", "answer": 2}\n{"id": "7", "answer": 1}\n'),
        ("key.csv", "id,answer\n3,2\n7,1\n"),
    ],
)
def test_answers_are_joined_by_id(tmp_path: Path, name: str, key: str) -> None:
    first, second = read(tmp_path, key, name)
    assert (first.gold, first.subject, first.options) == ((1,), "Privacy", ("Yes", "No"))
    assert (second.gold, second.subject) == ((2,), "Health")


def test_columns_of_other_names(tmp_path: Path) -> None:
    rows = [{"nr": row["id"]} | {name: row[name] for name in row if name != "id"} for row in ROWS]
    columns = {"subject": "category", "id": "nr", "answer": "right"}
    items = read(tmp_path, "nr,right\n3,2\n7,1\n", "key.csv", rows, columns=columns)
    assert [item.gold for item in items] == [(1,), (2,)]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ('{"3": 2}', r"items\.json:1: key\.json has no answer under its id"),
        ('{"3": 2, "7": 5}', r"items\.json:1: the answer is none of the options"),
        ('{"3": 2, "7": 1, "7": 0}', r"key\.json:3: its id has an answer already"),
        ('{"3": {"right": 2}, "7": 1}', r"key\.json:1: no answer in 'answer'"),
        ('{"3": null, "7": 1}', r"key\.json:1: no answer in 'answer'"),
        ('[{"answer": 2}]', r"key\.json:1: no id in the column 'id'"),
        ('{"3": 2,', r"key\.json:1: not readable as JSON"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, key: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path, key)
    assert "nurse" not in str(error.value)


def test_ids_that_say_nothing(tmp_path: Path) -> None:
    key = '{"3": 2, "7": 1}'
    with pytest.raises(DataError, match=r"items\.json:2: its id is another row's, too"):
        read(tmp_path, key, rows=[ROWS[0], ROWS[1] | {"id": 7}])
    with pytest.raises(DataError, match=r"items\.json:1: no id in the column 'id'"):
        read(tmp_path, key, rows=[ROWS[0] | {"id": None}, ROWS[1]])
    with pytest.raises(DataError, match=r"items\.json:1: its own column 'answer' says something else than key\.json"):
        read(tmp_path, key, rows=[ROWS[0] | {"answer": 0}, ROWS[1]])
    assert len(read(tmp_path, key, rows=[ROWS[0] | {"answer": 1}, ROWS[1]])) == 2


def test_the_file_of_answers_is_one_of_the_test(tmp_path: Path) -> None:
    read(tmp_path, '{"3": 2, "7": 1}')
    right = facts("key.json")
    right["files"][0]["answers"]["sha256"] = hash_file(tmp_path / "key.json")
    found = locate(NamedTest.model_validate(right), None, ItemFolder(tmp_path))
    assert (found.state, set(found.files)) == ("right", {"items.json", "key.json"})
    (tmp_path / "key.json").write_text('{"3": 1, "7": 1}', encoding="utf-8")
    assert locate(NamedTest.model_validate(right), None, ItemFolder(tmp_path)).problems == {"key.json": "other content"}
    (tmp_path / "key.json").unlink()
    assert locate(NamedTest.model_validate(right), None, ItemFolder(tmp_path)).problems == {"key.json": "missing"}


def test_safetybench_is_known() -> None:
    test, _ = known_tests()["safetybench-zh"]
    assert (test.group, test.items, test.files[0].answers is not None) == ("safety", 2100, True)
