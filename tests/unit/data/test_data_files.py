"""Which files are found, and the fingerprint of their content."""

import os
from pathlib import Path

import pytest

from medicalgpt.data.fingerprint import fingerprint
from medicalgpt.data.sources import expand
from medicalgpt.errors import DataError


def _touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def test_folder_is_walked_sorted_and_without_hidden_or_foreign_files(tmp_path: Path) -> None:
    _touch(tmp_path, "b.jsonl", "a/z.CSV", "a/c.txt.gz", ".hidden.jsonl", ".git/x.txt", "model.bin", ".jsonl", "gz")
    assert [p.relative_to(tmp_path).as_posix() for p in expand([tmp_path])] == ["a/c.txt.gz", "a/z.CSV", "b.jsonl"]


def test_a_folder_s_own_description_is_no_data_unless_named(tmp_path: Path) -> None:
    _touch(tmp_path, "README.md", "readme.zh-TW.md", "LICENSE.txt", "chapter.md")
    assert expand([tmp_path]) == [tmp_path / "chapter.md"]
    assert expand([tmp_path / "README.md"]) == [tmp_path / "README.md"]


def test_given_order_is_kept_and_no_file_comes_twice(tmp_path: Path) -> None:
    _touch(tmp_path, "a.txt", "b.txt")
    assert expand([tmp_path / "b.txt", tmp_path, str(tmp_path / "a.txt")]) == [tmp_path / "b.txt", tmp_path / "a.txt"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        ([], "nothing.jsonl: no such file or folder"),
        (["nothing.jsonl/model.bin"], "the folder holds no data file"),
    ],
)
def test_missing_paths_and_useless_folders_are_errors(tmp_path: Path, make: list[str], words: str) -> None:
    _touch(tmp_path, *make)
    with pytest.raises(DataError, match=words):
        expand([tmp_path / "nothing.jsonl"])


def test_other_types_and_no_paths_are_errors_that_list_what_is_allowed(tmp_path: Path) -> None:
    _touch(tmp_path, "a.rtf")
    with pytest.raises(DataError, match=r"a\.rtf: this file type is not read; allowed: \.jsonl, \.json, \.csv"):
        expand([tmp_path / "a.rtf"])
    with pytest.raises(DataError, match=r"no data files were given; allowed: \.jsonl"):
        expand([])


def test_fingerprint_follows_name_content_and_order_but_not_place_or_time(tmp_path: Path) -> None:
    _touch(tmp_path, "one/a.txt", "one/b.txt", "two/a.txt", "two/b.txt")
    os.utime(tmp_path / "two/a.txt", (0, 0))
    first = fingerprint([tmp_path / "one"])
    assert len(first) == 64
    assert fingerprint([tmp_path / "two"]) == first
    assert fingerprint([tmp_path / "one/b.txt", tmp_path / "one/a.txt"]) != first
    (tmp_path / "two/b.txt").write_text("y")
    changed = fingerprint([tmp_path / "two"])
    assert changed != first
    (tmp_path / "two/b.txt").rename(tmp_path / "two/c.txt")
    assert fingerprint([tmp_path / "two"]) not in (first, changed)
