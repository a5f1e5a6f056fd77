"""How many rows of what is named are read, and how samples are mixed by shares."""

import json

import numpy as np
import pytest

from medicalgpt.config.data_source import DataSource
from medicalgpt.data.fingerprint import fingerprint
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.report import detect
from medicalgpt.data.rows import DETECTED
from medicalgpt.data.sources import Part, find, source_lines
from medicalgpt.data.texts import texts
from medicalgpt.errors import DataError
from medicalgpt.rendering.mix import draw, mixed


def _csv(path, count):
    path.write_text("question,answer\n" + "".join(f"What is {i}?,A number: {i}.\n" for i in range(count)))
    return path


def _jsonl(path, count):
    path.write_text("".join(json.dumps({"text": f"Note {i}."}) + "\n" for i in range(count)))
    return path


def _parquet(path, count):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": [f"Note {i}." for i in range(count)]}), path)
    return path


def _json(path, count):
    path.write_text(json.dumps([{"text": f"Note {i}."} for i in range(count)]))
    return path


@pytest.mark.parametrize(
    ("write", "name"), [(_jsonl, "a.jsonl"), (_parquet, "a.parquet"), (_json, "a.json"), (_csv, "a.csv")]
)
def test_the_first_rows_are_read_from_every_type_of_file(tmp_path, write, name):
    file = write(tmp_path / name, 9)
    kind = "dialogue" if name == "a.csv" else "document"
    ledger = Ledger()
    found = list(read([DataSource(path=str(file), rows=4)], kind, ledger=ledger))
    assert found == list(read([file], kind, ledger=Ledger()))[:4]
    assert ledger.seen == {str(file): 4}
    assert detect(file, reading=find([DataSource(path=str(file), rows=4)]).limited(DETECTED)).rows == 4
    assert len(list(texts([DataSource(path=str(file), rows=4)]))) == (8 if kind == "dialogue" else 4)


def test_rows_count_on_over_the_files_of_a_folder(tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("a", "b", "c"):
        _jsonl(tmp_path / "d" / f"{name}.jsonl", 5)
    ledger = Ledger()
    assert len(list(read([DataSource(path=str(tmp_path / "d"), rows=7)], "document", ledger=ledger))) == 7
    assert {file[-7:]: rows for file, rows in ledger.seen.items()} == {"a.jsonl": 5, "b.jsonl": 2}


def test_rows_that_are_bad_count_too(tmp_path):
    file = _jsonl(tmp_path / "a.jsonl", 5)
    file.write_text("{not json\n" + file.read_text())
    ledger = Ledger()
    rows = read([DataSource(path=str(file), rows=3)], "document", on_bad_row="drop", max_bad_share=1.0, ledger=ledger)
    assert len(list(rows)) == 2
    assert ledger.seen == {str(file): 3}


def test_what_is_said_of_rows(tmp_path):
    file = _jsonl(tmp_path / "a.jsonl", 5)
    for rows, words in (
        (3, "the first 3 rows are read, the others left out"),
        (5, "all are read"),
        (9, "all are read"),
    ):
        (line,) = source_lines(find([DataSource(path=str(file), rows=rows)]).named)
        assert words in line
    assert find([file]).named == []


def test_the_fingerprint_knows_how_much_is_taken(tmp_path):
    a, b = (str(_jsonl(tmp_path / f"{name}.jsonl", 5)) for name in "ab")
    whole = fingerprint([a, b])
    assert fingerprint([DataSource(path=a), DataSource(path=b, rows=5)]) == whole
    others = [fingerprint([a, DataSource(path=b, rows=n)]) for n in (3, 4)]
    others += [fingerprint([a, DataSource(path=b, share=s)]) for s in (0.1, 0.2)]
    assert len({whole, *others}) == 5


@pytest.mark.parametrize("first", [{"rows": 3}, {"share": 0.5}, {}])
def test_a_file_is_taken_by_one_entry(tmp_path, first):
    file = _jsonl(tmp_path / "a.jsonl", 5)
    second = DataSource(path=str(tmp_path)) if first else DataSource(path=str(tmp_path), rows=3)
    with pytest.raises(DataError, match="both name it, and one of them says how much"):
        find([DataSource(path=str(file), **first), second])
    assert find([file, tmp_path]).files == [file]


def _mix(sizes, shares, seed=1):
    part_of = np.repeat(np.arange(len(sizes)), [len(one) for one in sizes])
    parts = [Part(f"p{i}", (), share=share) for i, share in enumerate(shares)]
    flat = np.concatenate([np.asarray(one) for one in sizes])
    found = mixed(flat, part_of, parts, seed)
    totals = np.bincount(part_of[found.index], weights=flat[found.index], minlength=len(sizes))
    return found, totals


def test_parts_without_a_share_are_whole_and_the_others_beside_them():
    found, totals = _mix([[10] * 60, [5] * 200], [None, 0.25])
    assert totals.tolist() == [600, 200]
    assert len(set(found.index.tolist())) == len(found.index)
    assert found.taken == {1: {"samples": 40, "of": 200, "taken": 40, "tokens": 200, "words": found.taken[1]["words"]}}
    assert found.taken[1]["words"] == "25.0% of the tokens, from 40 of 200 samples, the others left out"
    same, other = _mix([[10] * 60, [5] * 200], [None, 0.25])[0], _mix([[10] * 60, [5] * 200], [None, 0.25], seed=2)[0]
    assert (same.index == found.index).all()
    assert (other.index != found.index).any()


def test_a_small_part_is_repeated_evenly():
    found, totals = _mix([[10] * 60, [10] * 20], [None, 0.5])
    assert totals.tolist() == [600, 600]
    assert np.bincount(found.index)[60:].tolist() == [3] * 20
    assert "each taken 3.0 times" in found.taken[1]["words"]


def test_where_all_have_shares_the_scarcest_is_whole_and_nothing_is_repeated():
    for shares in ([0.3, 0.7], [0.1, 0.9], [0.7, 0.3]):
        found, totals = _mix([[7] * 30, [3] * 90], shares)
        assert len(set(found.index.tolist())) == len(found.index)
        assert (totals == [210, 270]).any()
        assert np.abs(totals / totals.sum() - shares).max() < 0.02


def test_a_part_of_which_nothing_is_left_cannot_have_a_share():
    with pytest.raises(DataError, match=r"p1: no row of it is left.*share of 0\.2"):
        _mix([[7] * 3, []], [None, 0.2])
    with pytest.raises(DataError, match="without a share have no row"):
        _mix([[], [7] * 3], [None, 0.2])


def test_drawing_once_ends_when_all_are_taken():
    assert sorted(draw(np.asarray([2, 2, 2]), 99, (1,), again=False)) == [0, 1, 2]
    assert len(draw(np.asarray([2, 2, 2]), 99, (1,))) == 50
