"""What was set and does nothing is said: data.eval_fraction beside data.eval."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.loader import dump, load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.unused import unused

NEEDED = ("data.train=[a.jsonl]", "output_dir=run")
EVAL = "data.eval=[b.jsonl]"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((EVAL, "data.eval_fraction=0.2"), 1),
        ((EVAL, "data.eval_fraction=0.05"), 1),  # the default, but asked for by name
        ((EVAL, "data.eval_fraction=0"), 0),  # nothing is held out of data.train, as asked
        ((EVAL,), 0),
        (("data.eval_fraction=0.2",), 0),
    ],
)
def test_a_share_beside_files_is_said(words: tuple[str, ...], said: int) -> None:
    for stage, more in (("sft", []), ("grpo", ["reward.model=runs/rm"])):
        found = list(unused(load(stage_schema(stage), None, [*NEEDED, *words, *more])))
        assert len(found) == said
        assert all("data.eval_fraction=0." in line and "data.eval names the held-out rows" in line for line in found)


def test_the_config_of_an_earlier_run_says_nothing_of_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "config.resolved.yaml"
    file.write_text(dump(load(stage_schema("sft"), None, [*NEEDED, EVAL])), encoding="utf-8")
    assert "eval_fraction: 0.05" in file.read_text(encoding="utf-8")
    assert list(unused(load(stage_schema("sft"), file))) == []


def test_validate_says_it_too(tmp_path: Path) -> None:
    file = tmp_path / "sft.yaml"
    file.write_text(
        "data: {train: [a.jsonl], eval: [b.jsonl], eval_fraction: 0.2}\noutput_dir: run\n", encoding="utf-8"
    )
    done = CliRunner().invoke(app, ["config", "validate", "sft", str(file)])
    assert done.exit_code == 0
    assert "warning: data.eval_fraction=0.2 is not used" in done.output
