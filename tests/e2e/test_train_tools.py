"""Training on tool calls: a step on the sample dialogues, and the model asked in the format it was trained in."""

import itertools
import json
from pathlib import Path

from tests.stages import Bench, column, manifest
from tests.tiny import save_tiny
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.generate.engine import Engine

ROOT = Path(__file__).resolve().parents[2]


def test_a_step_on_the_sample_dialogues(tmp_path: Path) -> None:
    save_tiny(tmp_path / "base", max_position_embeddings=4096)
    bench, run = Bench(tmp_path), tmp_path / "run"
    options = [f"data.train={ROOT / 'examples/data/tools'}", "data.eval_fraction=0.1", "data.tool_format=react"]
    tokens = ["data.max_tokens=4096", "train.row_tokens=4096", "train.tokens_per_step=4096", "train.max_steps=1"]
    result = CliRunner().invoke(app, ["train", *bench.words("sft", run, *options, *tokens)])
    assert result.exit_code == 0, result.output
    ledger = manifest(run)["ledger"]
    assert (ledger["rows"], ledger["kept"]) == (19, 19)
    assert len(column(run, "train/loss")) == 1

    template = Engine.open(str(run)).template
    assert template.tool_use.format is not None
    assert template.tool_use.format.name == "react"  # not qwen, which this template would get by itself

    lines = itertools.islice((ROOT / "examples/data/tools/en.jsonl").open(encoding="utf-8"), 2)
    (tmp_path / "in.jsonl").write_text("".join(lines), encoding="utf-8")
    words = ["generate", "--model", str(run), "--input", str(tmp_path / "in.jsonl"), "--max-new-tokens", "3"]
    result = CliRunner().invoke(app, [*words, "--output", str(tmp_path / "out.jsonl")])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(row["reference"] and row["tokens"] for row in rows)
