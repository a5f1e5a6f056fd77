"""Rows, rows a second and the time left are said from the first pass on where a line is a row."""

import gzip
import json
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from tests.tiny import tiny_tokenizer

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.fingerprint import Content
from medicalgpt.rendering import progress
from medicalgpt.rendering.build import prepare
from medicalgpt.rendering.progress import EVERY, Progress
from medicalgpt.rendering.template import ChatTemplate


def written(path: Path, count: int) -> str:
    rows = (json.dumps({"question": f"Number {i}?", "answer": "Rest and drink."}) for i in range(count))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_first_pass_says_how_long_it_takes(tmp_path: Path, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def monotonic() -> float:
        clock[0] += EVERY / 2
        return clock[0]

    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=monotonic))
    said = StringIO()
    console = Console(file=said, force_terminal=terminal, width=120)
    config = DataConfig(train=[written(tmp_path / "a.jsonl", 300)], workers=1)
    prepare(config, "dialogue", ChatTemplate.load(tiny_tokenizer()), tmp_path / "cache", 1, progress=Progress(console))
    assert "train: rendering" in said.getvalue()
    assert "rows/s" in said.getvalue()
    if not terminal:
        assert "s left" in said.getvalue()


def test_the_time_left_is_not_said_where_it_is_not_known() -> None:
    said = StringIO()
    shown = Progress(Console(file=said))
    shown.begin("train: rendering")
    shown._began -= 2 * EVERY
    shown._said -= 2 * EVERY
    shown.count(64)
    assert "64 rows" in said.getvalue()
    assert "left" not in said.getvalue()


def test_lines_are_counted_where_each_is_a_row(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a.jsonl", 7), written(tmp_path / "b.jsonl", 5)
    assert Content.of([first, second]).lines == 12
    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(gzip.compress(Path(first).read_bytes()))
    assert Content.of([first, packed]).lines is None
    text = tmp_path / "d.txt"
    text.write_text("One document\nof two lines.\n", encoding="utf-8")
    assert Content.of([text]).lines is None
