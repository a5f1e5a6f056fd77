"""Items are read from any file of questions; what is no item is named by its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from medicalgpt.config.evaluation import NamedTest
from medicalgpt.errors import ConfigError, DataError
from medicalgpt.evaluation.catalog import ItemFolder, choose, find_tests, known_tests, locate, require
from medicalgpt.evaluation.items import Item, item_key, read_items
from medicalgpt.evaluation.suite import spread

ROWS = [
    {"question": "Which vitamin is made in the skin?", "A": "C", "B": "D", "C": "K", "answer": "B", "ward": "skin"},
    {
        "question": "Which organ makes insulin?",
        "A": "Liver",
        "B": "Spleen",
        "C": "Pancreas",
        "answer": "C",
        "ward": "gland",
    },
]


def named_test(**more: Any) -> NamedTest:
    facts: dict[str, Any] = {
        "name": "own",
        "title": "Own",
        "license": "ours",
        "origin": "here",
        "language": "en",
        "group": "hospital",
        "files": [{"path": "own.jsonl"}],
    }
    return NamedTest.model_validate(facts | more)


def read(tmp_path: Path, rows: list[Any], name: str = "own.jsonl", **more: Any) -> list[Item]:
    path = tmp_path / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return read_items(named_test(files=[{"path": name}], **more), {name: path})


def test_letters_and_subjects(tmp_path: Path) -> None:
    first, second = read(tmp_path, ROWS, columns={"subject": "ward"}, answer_is="letter")
    assert (first.question, first.options, first.gold) == ("Which vitamin is made in the skin?", ("C", "D", "K"), (1,))
    assert (first.subject, second.subject, second.gold) == ("skin", "gland", (2,))


@pytest.mark.parametrize(
    ("answer", "how", "gold"),
    [
        ("B", "letter", (1,)),
        ("Spleen", "text", (1,)),
        (1, "from_0", (1,)),
        ("2", "from_1", (1,)),
        ("Spleen", "auto", (1,)),
        ("AC", "auto", (0, 2)),
        (["A", "C"], "auto", (0, 2)),
        ("b", "letter", (1,)),
        ("(B).", "letter", (1,)),
        ("AC", "letter", (0, 2)),
        ("A、C", "letter", (0, 2)),
        ("C, A", "letter", (0, 2)),
        (["A", "C"], "letter", (0, 2)),
        ("Liver; Pancreas", "text", (0, 2)),
        (["Liver", "Pancreas"], "text", (0, 2)),
        ("0,2", "from_0", (0, 2)),
        ("1 3", "from_1", (0, 2)),
        ([1, 3], "from_1", (0, 2)),
        (2.0, "from_1", (1,)),
    ],
)
def test_answers_in_every_form(tmp_path: Path, answer: object, how: str, gold: tuple[int, ...]) -> None:
    (item,) = read(tmp_path, [ROWS[1] | {"answer": answer}], answer_is=how)
    assert item.gold == gold
    assert item.together == (len(gold) > 1)


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        ("D", "letter"),
        ("AD", "letter"),  # one of the two is no option
        ("AA", "letter"),
        ("Liver", "letter"),
        ("", "letter"),
        ("Liver; Heart", "text"),
        ("liver", "text"),
        (3, "from_0"),
        (0, "from_1"),
        ("1.5", "from_1"),
        ("13", "from_1"),  # not the first and the third
        (True, "from_1"),
        ([], "from_1"),
        (None, "auto"),
    ],
)
def test_an_answer_outside_of_the_options_stops_the_test(tmp_path: Path, answer: object, how: str) -> None:
    with pytest.raises(DataError, match=r"own\.jsonl:1: ") as error:
        read(tmp_path, [ROWS[1] | {"answer": answer}], answer_is=how)
    assert "insulin" not in str(error.value)


def test_an_option_that_stands_twice_is_right_in_either_place(tmp_path: Path) -> None:
    row = {"question": "Normal pulse at rest?", "options": ["60-100", "20", "60-100"], "answer": "60-100"}
    (item,) = read(tmp_path, [row], answer_is="text")
    assert (item.gold, item.together) == ((0, 2), False)


def test_options_within_the_question(tmp_path: Path) -> None:
    marks = {"before_question": "問:", "before_options": "\n選:\n- ", "between": "\n- "}
    row = {"input": "問:發燒是幾度?\n選:\n- 36\n- 38", "output": "38"}
    columns = {"question": "input", "answer": "output"}
    (item,) = read(tmp_path, [row], columns=columns, embedded=marks, answer_is="text")
    assert (item.question, item.options, item.gold) == ("發燒是幾度?", ("36", "38"), (1,))


@pytest.mark.parametrize("count", [26, 27])
def test_more_options_than_letters_within_the_question_are_refused(tmp_path: Path, count: int) -> None:
    """The right one may be among those that would be lost."""
    marks = {"before_question": "問:", "before_options": "\n選:\n- ", "between": "\n- "}
    row = {"input": "問:哪一個?\n選:\n- " + "\n- ".join(f"選項{n}" for n in range(count)), "output": "選項3"}
    words = {"columns": {"question": "input", "answer": "output"}, "embedded": marks, "answer_is": "text"}
    if count == 26:
        (item,) = read(tmp_path, [row], **words)
        assert len(item.options) == 26
    else:
        with pytest.raises(DataError, match="the question holds 27 options, and at most 26 are read"):
            read(tmp_path, [row], **words)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (ROWS[0] | {"answer": "E"}, "none of the options"),
        (ROWS[0] | {"answer": ""}, "none of the options"),
        ({"question": "Why?", "answer": "A"}, "fewer than two options"),
        ({"question": "Why?", "A": "one", "answer": "A"}, "fewer than two options"),
        ({"A": "x", "B": "y", "answer": "A"}, "missing"),
        (ROWS[0] | {"B": ""}, r"an option in the midst of others is blank \(B: "),
        ({"question": "Why?", "options": ["x", " ", "y"], "answer": "C"}, "an option in the midst of others is blank"),
    ],
)
def test_a_row_that_is_no_item_is_named_and_not_shown(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        read(tmp_path, [ROWS[1], row], answer_is="letter")
    assert "own.jsonl:2" in str(caught.value)
    assert "1 of 2 rows" in str(caught.value)
    assert "vitamin" not in str(caught.value)


def test_an_item_is_known_whatever_its_spelling_and_order() -> None:
    assert item_key("Which organ?", ("Liver", "Spleen")) == item_key(" which  ORGAN ？", ("spleen", "Liver."))
    assert item_key("Which organ?", ("Liver", "Spleen")) != item_key("Which organ?", ("Liver", "Heart"))


def test_an_item_asked_twice_has_two_ids(tmp_path: Path) -> None:
    ids = [item.id for item in read(tmp_path, [*ROWS, ROWS[0]], answer_is="letter")]
    assert len(set(ids)) == 3
    assert ids[2] == f"{ids[0]}-2"


def test_a_limit_is_spread_over_the_test() -> None:
    items: Any = list(range(100))
    assert spread(items, 4) == [0, 25, 50, 75]
    assert spread(items, 300) == items
    assert spread(items, None) == items


def test_known_tests_say_all_they_must() -> None:
    known = known_tests()
    assert {"medqa-usmle", "mmlu-medical", "cmmlu-medical", "cmexam"} <= known.keys()
    for test, beside in known.values():
        assert (beside is None) != test.name.startswith("contrast-")  # the project's own
        assert test.license
        assert test.items
        assert all(file.sha256 and file.bytes for file in test.files)
        assert all(file.examples_sha256 for file in test.files if file.examples)


def test_files_are_found_by_path_or_content_and_checked(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    content = b'{"question": "?"}\n'
    (tmp_path / "a" / "other-name.jsonl").write_bytes(content)
    sha = "8e1cd2a01ff9e1bf6e4dcb1ba3a4a1b5f6e2aa2c9e6e7a8a8f8b0a1b2c3d4e5f"
    from medicalgpt.runs.hashes import hash_file

    right = hash_file(tmp_path / "a" / "other-name.jsonl")
    wanted = named_test(files=[{"path": "x/own.jsonl", "bytes": len(content), "sha256": right}])
    folder = ItemFolder(tmp_path)
    assert locate(wanted, None, folder).state == "right"
    assert require(locate(wanted, None, folder), folder).files["x/own.jsonl"].name == "other-name.jsonl"
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "own.jsonl").write_bytes(b"changed")
    other = named_test(files=[{"path": "x/own.jsonl", "bytes": len(content), "sha256": sha}])
    found = locate(other, None, ItemFolder(tmp_path))
    assert found.state == "other content"
    with pytest.raises(DataError, match=r"x/own\.jsonl: other content"):
        require(found, folder)
    assert locate(named_test(files=[{"path": "nowhere.csv"}]), None, folder).state == "missing"


def test_suites_and_tests_by_name() -> None:
    known = known_tests()
    assert choose(["medical-zh"], known) == [n for n, (t, _) in known.items() if t.group == "medical-zh"]
    assert choose(["pubmedqa", "pubmedqa"], known) == ["pubmedqa"]
    with pytest.raises(ConfigError, match="did you mean"):
        choose(["medical-zz"], known)


def test_the_sample_tests_are_whole() -> None:
    folder = Path(__file__).resolve().parents[3] / "examples/tests"
    found = find_tests(["triage"], folder)
    assert [len(read_items(test.config, test.files)) for test in found] == [test.config.items for test in found]
    assert len(found) == 3
