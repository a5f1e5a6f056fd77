"""The made-up hospital's files: what their page says is so, nobody in them can be reached, and its test holds what no log does."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.split import group_key
from medicalgpt.evaluation.catalog import find_tests
from medicalgpt.evaluation.written.items import read_written

HOSPITAL = Path(__file__).resolve().parents[2] / "examples" / "hospital"


def rows(name: str) -> list[dict[str, str]]:
    with (HOSPITAL / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def said() -> str:
    """All text of all files."""
    documents = read(sorted((HOSPITAL / "files").glob("*.docx")), "document", ledger=Ledger())
    tables = [path.read_text(encoding="utf-8") for path in sorted(HOSPITAL.glob("*/*.csv"))]
    return "\n".join([*tables, *(document.text for document in documents)])


def test_the_page_counts_right() -> None:
    page = (HOSPITAL / "README.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"\| `([\w/.*-]+)` \| (\d+) \|", page))
    assert {name: int(count) for name, count in told.items() if name.endswith("csv")} == {
        path.relative_to(HOSPITAL).as_posix(): len(rows(path.relative_to(HOSPITAL).as_posix()))
        for path in HOSPITAL.glob("*/*.csv")
    }
    assert int(told["files/*.docx"]) == len(list((HOSPITAL / "files").glob("*.docx")))


def test_nobody_in_it_can_be_reached() -> None:
    text = said()
    telephones, mails = re.findall(r"\(\d{3}\) \d{3}-\d{4}", text), re.findall(r"\S+@\S+\.\w+", text)
    assert len(telephones) > 150
    assert len(mails) > 5
    assert [number for number in telephones if " 555-01" not in number] == []
    assert [mail for mail in mails if not mail.endswith("@example.com")] == []


def test_every_desk_has_as_many_calls_and_all_of_the_test_are_new() -> None:
    log, test = rows("files/switchboard.csv"), rows("tests/switchboard.csv")
    desks = Counter(row["answer"] for row in log)
    assert len(desks) == 8
    assert set(desks.values()) == {15}
    assert Counter(row["reference"] for row in test) == dict.fromkeys(desks, 5)
    assert all(row["question"].endswith(" Which desk?") for row in (*log, *test))
    asked = {row["question"].casefold() for row in log}
    assert not asked & {row["question"].casefold() for row in test}
    calls = list(read(sorted((HOSPITAL / "files").glob("*.csv")), "dialogue", ledger=Ledger()))
    assert len({group_key(call) for call in calls}) == len(calls) == len(log) + len(rows("files/advice-line.csv"))


@pytest.mark.parametrize("place", [HOSPITAL, HOSPITAL.parent])
def test_its_test_is_found_and_read(place: Path) -> None:
    (test,) = find_tests(["hospital"], place)
    items = read_written(test.config, test.files)
    assert (test.config.name, len(items)) == ("switchboard", test.config.items) == ("switchboard", 40)
