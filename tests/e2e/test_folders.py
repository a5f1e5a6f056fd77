"""A folder as hospitals hand it over, from the command line to the run folder: what is read, and what is said of the rest."""

import bz2
import json
import zipfile
from functools import partial
from pathlib import Path

import pytest
from tests import rl
from tests.stages import Bench, dialogues, manifest
from typer.testing import CliRunner

from medicalgpt.cli import app


def folder(place: Path) -> Path:
    """Rows plain, compressed and in an archive; and files that nobody reads."""
    place.mkdir()
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in dialogues(12)]
    (place / "a.jsonl").write_text("".join(lines[:4]), encoding="utf-8")
    (place / "b.jsonl.bz2").write_bytes(bz2.compress("".join(lines[4:8]).encode()))
    with zipfile.ZipFile(place / "ward.zip", "w") as archive:
        archive.writestr("c.jsonl", "".join(lines[8:]))
        archive.writestr("scan.dcm", b"\0")
    (place / "leaflet.rtf").write_bytes(b"%PDF")
    (place / "README.md").write_text("What the rows are.")
    return place


@pytest.mark.parametrize("stage", ["sft", "rloo"])
def test_the_start_of_a_run_says_what_is_not_read(stage: str, bench: Bench, tmp_path: Path, no_figures: None) -> None:
    place, out = folder(tmp_path / "ward [3]"), tmp_path / "run"
    words_of = partial(rl.words, bench) if stage == "rloo" else bench.words
    words = words_of(stage, out, f'data.train=["{place}"]', "train.max_steps=1")
    result = CliRunner().invoke(app, ["train", *words])
    said = " ".join(result.output.split())
    assert result.exit_code == 0, said
    assert f"{place}: 3 not read: " in said
    record = manifest(out)
    assert record["ledger"]["rows"] == 12
    assert list(record["ledger"]["skipped"].values()) == [
        {".dcm": 1, ".rtf": 1, "README.md (a description; named by itself it is read)": 1}
    ]
    assert any(file.endswith("ward.zip/c.jsonl") for file in record["ledger"]["files"])
