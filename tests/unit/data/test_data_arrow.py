"""Arrow files as Hugging Face datasets writes them, damaged ones, and SQuAD's questions in tables."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue
from medicalgpt.data.report import detect
from medicalgpt.data.rows import open_rows
from medicalgpt.data.rows.squad import SEVERAL
from medicalgpt.data.sources import expand
from medicalgpt.errors import DataError

ROWS: list[dict[str, Any]] = [
    {"question": f"第{n}個問題？", "answer": f"Answer {n}", "turns": [{"role": "user", "n": n}]} for n in range(700)
]


def write(path: Path, kind: str, rows: list[dict[str, Any]] = ROWS, **options: Any) -> Path:
    """Rows in batches of 300, as a stream (`datasets`' cache and `save_to_disk`) or a file (`pyarrow.feather`)."""
    table = pyarrow.Table.from_pylist(rows)
    new = pyarrow.ipc.new_stream if kind == "stream" else pyarrow.ipc.new_file
    with new(path, table.schema, options=pyarrow.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=300)
    return path


@pytest.mark.parametrize("kind", ["stream", "file"])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_rows_come_in_order(kind: str, packed: str, tmp_path: Path) -> None:
    path = write(tmp_path / "data-00000-of-00001.arrow", kind)
    if packed:
        path = path.with_name(f"{path.name}{packed}")
        path.write_bytes(gzip.compress((tmp_path / "data-00000-of-00001.arrow").read_bytes()))
    found = list(open_rows(path, {}))
    assert [row.number for row in found] == list(range(1, 701))
    assert [row.fields for row in found] == ROWS


def test_a_folder_of_save_to_disk(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
    (file,) = expand([tmp_path / "saved"])
    assert file.suffix == ".arrow"
    report = detect(file)
    assert (report.rows, report.type, report.encoding, report.shapes) == (700, ".arrow", "binary", {"qa": 700})


def test_words_kept_once_in_a_dictionary(tmp_path: Path) -> None:
    table = pyarrow.table(
        {"question": pyarrow.array(["a?", "b?", "a?"]).dictionary_encode(), "answer": ["1", "2", "3"]}
    )
    with pyarrow.ipc.new_stream(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    assert [row.fields["question"] for row in open_rows(tmp_path / "a.arrow", {}) if row.fields] == ["a?", "b?", "a?"]


@pytest.mark.parametrize("kind", ["stream", "file"])
@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("dictionary", [False, True])
def test_batches_that_are_compressed_inside_are_refused(
    kind: str, codec: str, dictionary: bool, tmp_path: Path
) -> None:
    """Ten kilobytes may be ten gigabytes there, and it is allocated before anything can be counted."""
    words = pyarrow.array(["a" * 200] * 5_000)
    table = pyarrow.table({"text": words.dictionary_encode() if dictionary else words})
    new = pyarrow.ipc.new_stream if kind == "stream" else pyarrow.ipc.new_file
    with new(tmp_path / "a.arrow", table.schema, options=pyarrow.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match=r"a\.arrow: its batches are compressed inside; write it again"):
        list(open_rows(tmp_path / "a.arrow", {}))


def test_no_byte_is_no_row(tmp_path: Path) -> None:
    (tmp_path / "a.arrow").write_bytes(b"")
    assert list(open_rows(tmp_path / "a.arrow", {})) == []


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_damage_is_one_message_and_never_more_rows(kind: str, tmp_path: Path) -> None:
    """A damaged offset would let a reader without checks leave its memory, and the process with it."""
    good, rng, refused = write(tmp_path / "good.arrow", kind).read_bytes(), random.Random(5), 0
    for _ in range(150):
        bad = bytearray(good)
        for _ in range(rng.choice((1, 4, 32))):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        path = tmp_path / "bad.arrow"
        path.write_bytes(bad[: rng.choice((len(bad), rng.randrange(len(bad))))])
        try:
            assert len(list(open_rows(path, {}))) <= 700
        except DataError:
            refused += 1
    assert refused > 50


# -- SQuAD in tables ----------------------------------------------------------------------------------------------------


def _asked(answers: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "context": "Folic acid is a vitamin.", "question": "What is it?", **answers}


WAYS = {
    "nested": {"answers": {"text": ["a vitamin", "vitamin"], "answer_start": [14, 16]}},
    "flattened": {"answers.text": ["a vitamin", "vitamin"], "answers.answer_start": [14, 16]},
    "listed": {"answers": {"text": "a vitamin", "answer_start": 14}},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".jsonl"])
def test_the_first_answer_is_learned(way: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    rows = [_asked(WAYS[way])]
    if ending == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif ending == ".arrow":
        write(path, "stream", rows)
    else:
        path.write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    ledger = Ledger()
    (record,) = read([path], "dialogue", ledger=ledger)
    assert isinstance(record, Dialogue)
    assert [m.content for m in record.messages] == ["What is it?\nFolic acid is a vitamin.", "a vitamin"]
    assert list(ledger.as_dict()["files"][str(path)].get("unread", {})) == ["id"], (
        "what was read is not said to be left"
    )
    assert detect(path).notes == ((SEVERAL,) if way != "listed" else ())


def test_a_question_without_an_answer_is_bad_and_others_stay_as_they_are(tmp_path: Path) -> None:
    rows = [
        _asked({"answers": {"text": [], "answer_start": []}}),
        _asked({"answer": "Yes.", "answers": {"text": ["No."]}}),
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    report = detect(path)
    assert (report.bad, dict(report.reasons)) == (1, {"answer is missing": 1})
    (record,) = read([path], "dialogue", on_bad_row="drop", max_bad_share=1.0, ledger=Ledger())
    assert isinstance(record, Dialogue)
    assert record.messages[-1].content == "Yes."
