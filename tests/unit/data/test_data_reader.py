"""Reading: bad rows stop or are counted, kinds are kept apart, and the ledger knows every row."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Document, Kind, Source
from medicalgpt.errors import DataError

SECRET = "Zyloprim9"
OK = {"question": f"q {SECRET}", "answer": "a"}
BAD = {"question": f"q {SECRET}", "answer": " "}


def _jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def _read(path: Path | list[Path], kind: Kind = "dialogue", ledger: Ledger | None = None, **options: Any) -> list[Any]:
    paths = path if isinstance(path, list) else [path]
    return list(read(paths, kind, ledger=ledger or Ledger(), **options))


def _error(path: Path | list[Path], kind: Kind = "dialogue", **options: Any) -> str:
    with pytest.raises(DataError) as error:
        _read(path, kind, **options)
    assert SECRET not in str(error.value)
    return str(error.value)


def test_good_rows_carry_their_source_and_wait_to_be_settled(tmp_path: Path) -> None:
    a, b = _jsonl(tmp_path / "a.jsonl", ["", OK]), _jsonl(tmp_path / "b.jsonl", [OK, OK])
    ledger = Ledger()
    records = _read([tmp_path], ledger=ledger)
    assert all(isinstance(r, Dialogue) for r in records)
    assert [r.source for r in records] == [Source(str(a), 2), Source(str(b), 1), Source(str(b), 2)]
    assert ledger.seen == {str(a): 1, str(b): 2}
    assert not ledger.settled


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (BAD, "a.jsonl:2: answer is blank; allowed: a question (question, prompt"),
        ('{"question": "Zyloprim9", }', "a.jsonl:2: not valid JSON (Expecting property name"),
        ({"id": 1}, "a.jsonl:2: no column has a name we know (columns: id); allowed: messages as a list"),
        (
            {"messages": [{"role": "user", "content": SECRET}]},
            "a.jsonl:2: no assistant turn; allowed: messages as a list",
        ),
        ({"text": SECRET}, "a.jsonl:2: a document row (document) in a file of dialogue rows"),
    ],
)
def test_the_first_bad_row_stops_with_its_place(tmp_path: Path, bad: Any, words: str) -> None:
    message = _error(_jsonl(tmp_path / "a.jsonl", [OK, bad, OK]))
    assert words in message
    assert message.endswith("correct the row, or set data.on_bad_row=drop to count such rows and go on")


def test_a_bad_table_row_gives_record_and_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('question,answer\n"two\nlines",a\nq,\n')
    assert "a.csv:2 (line 4): answer is blank" in _error(path)


def test_bad_rows_are_dropped_and_counted_by_reason(tmp_path: Path) -> None:
    path = _jsonl(tmp_path / "a.jsonl", [OK, BAD, "{", OK, BAD, {"text": SECRET}])
    ledger = Ledger()
    assert [r.source.row for r in _read(path, ledger=ledger, on_bad_row="drop", max_bad_share=0.7)] == [1, 4]
    ledger.settle(str(path), "kept", rows=2)
    ledger.check()
    assert ledger.as_dict()["reasons"] == {
        "dropped: a document row (document) in a file of dialogue rows": 1,
        "dropped: answer is blank": 2,
        "dropped: not valid JSON": 1,
    }
    assert SECRET not in str(ledger.as_dict())


def test_too_many_bad_rows_stop_at_the_end_or_as_soon_as_200_rows_tell(tmp_path: Path) -> None:
    few = _jsonl(tmp_path / "a.jsonl", [OK] * 18 + [BAD] * 2)
    assert len(_read(few, on_bad_row="drop", max_bad_share=0.1)) == 18
    assert _error(few, on_bad_row="drop").startswith(
        "2 of 20 rows read are bad (10.0%), allowed are 5.0%: 2 × answer is blank; correct the data, or raise"
    )
    early = _jsonl(tmp_path / "b.jsonl", [BAD] * 20 + [OK] * 5000)
    assert _error(early, on_bad_row="drop").startswith("20 of 200 rows")
    late = _jsonl(tmp_path / "c.jsonl", [OK] * 5000 + [BAD] * 400)
    assert _error(late, on_bad_row="drop").startswith("264 of 5264 rows")  # 263 of 5263 are just below 5 %


def test_a_file_of_bad_rows_only_is_an_error_at_any_share(tmp_path: Path) -> None:
    path = _jsonl(tmp_path / "a.jsonl", [BAD, BAD])
    assert "2 of 2 rows read are bad" in _error(path, on_bad_row="drop", max_bad_share=1.0)


PAIR = {"prompt": SECRET, "chosen": "good", "rejected": "poor"}


@pytest.mark.parametrize("policy", ["stop", "drop"])
@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        (OK, "document", "this is a dialogue row (shape qa), which fits `medicalgpt train sft`; here document rows"),
        (PAIR, "document", "this is a preference row (shape preference), which fits `medicalgpt train dpo`"),
        (PAIR, "dialogue", "this is a preference row (shape preference), which fits `medicalgpt train dpo`"),
        ({"text": SECRET}, "dialogue", "this is a document row (shape document), which fits `medicalgpt train pt`"),
        (OK, "preference", "this is a dialogue row (shape qa), which fits `medicalgpt train sft`; here preference"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, row: Any, kind: Kind, words: str, policy: Literal["stop", "drop"]
) -> None:
    message = _error(_jsonl(tmp_path / "a.jsonl", [row] * 3), kind, on_bad_row=policy, max_bad_share=1.0)
    assert f"a.jsonl:1: {words}" in message
    assert "data.columns" in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("a.jsonl", ""), ("a.jsonl", "\n\n"), ("a.json", "[]"), ("a.json", ""), ("a.csv", ""), ("a.csv", "text\n")),
        *(("a.tsv", ""), ("a.txt", ""), ("a.md", "")),
    ],
)
@pytest.mark.parametrize("policy", ["stop", "drop"])
def test_an_empty_file_is_an_error(tmp_path: Path, name: str, content: str, policy: Literal["stop", "drop"]) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert f"{name}: the file is empty: it has no rows" in _error(path, "document", on_bad_row=policy)


def test_a_blank_document_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(" \n\n")
    assert "a.txt:1: text is blank" in _error(path, "document")


def test_paths_and_columns_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read([tmp_path / "no.jsonl"], "dialogue", ledger=Ledger())
    with pytest.raises(DataError, match="unknown name 'foo'"):
        read([tmp_path], "dialogue", columns={"foo": "x"}, ledger=Ledger())


def test_columns_name_what_holds_what(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("工学\t摘要一\n医学\t摘要二\n")
    assert [r.text for r in _read(path, "document", columns={"text": "1"})] == ["摘要一", "摘要二"]


def test_a_mapping_that_no_file_fits_is_an_error_unless_it_was_made_for_others(tmp_path: Path) -> None:
    path = _jsonl(tmp_path / "a.jsonl", [{"abstract": "one", "content": None}])
    other = _jsonl(tmp_path / "b.jsonl", [{"body": "two"}])
    columns = {"text": "body"}
    assert "no file has these columns (text: body)" in _error(path, "document", columns=columns)
    assert [r.text for r in _read([path, other], "document", columns=columns)] == ["one", "two"]
    assert _read(path, "document", columns=columns, strict_columns=False) == [Document("one", Source(str(path), 1))]


def test_replacement_characters_are_counted_not_refused(tmp_path: Path) -> None:
    ledger = Ledger()
    records = _read(_jsonl(tmp_path / "a.jsonl", [OK, {"question": "q", "answer": "a\ufffd"}]), ledger=ledger)
    assert len(records) == 2
    assert list(ledger.as_dict()["warnings"].values()) == [1]


def test_rows_are_streamed(tmp_path: Path) -> None:
    path = _jsonl(tmp_path / "a.jsonl", [OK] * 10_000)
    ledger = Ledger()
    next(read([path], "dialogue", ledger=ledger))
    assert ledger.seen[str(path)] == 1


def test_an_error_in_a_later_file_names_that_file(tmp_path: Path) -> None:
    _jsonl(tmp_path / "a.jsonl", [OK])
    (tmp_path / "b.json").write_text('[{"question": "Zyloprim9"')
    assert "b.json:1: not valid JSON" in _error(tmp_path, on_bad_row="drop")
