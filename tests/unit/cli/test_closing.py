"""The last lines of a run: numbers, report, commands."""

import signal
from pathlib import Path
from typing import Any

import pytest

from medicalgpt.cli.closing import closing_lines, interrupted_lines
from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.runs import Hashes, Manifest, manifest

SHA = "ab" * 32


def lines(folder: Path, stage: str, *words: str, **changes: Any) -> list[str]:
    values: dict[str, Any] = {
        "stage": stage, "base": "b", "config_key": "k", "versions": {}, "seed": 1, "device": "cpu", "world_size": 1,
        "hashes": Hashes(data=SHA, tokenizer=SHA, base=SHA, code=SHA), "ledger": {}, "seconds": 1.0, "tokens": 1, "files": {},
    }  # fmt: skip
    manifest.write(folder, Manifest(**values, **changes))
    config = load(stage_schema(stage), None, ["data.train=[a.jsonl]", f"output_dir={folder}", *words]).value
    return list(closing_lines(folder, config))


def test_numbers_report_and_commands(tmp_path: Path) -> None:
    folder = tmp_path / "my run"
    folder.mkdir()
    after = {"eval/loss": 2.0, "eval/kl": 0.1, "eval/rows": 40.0}
    found = lines(folder, "sft", "data.eval=[held.jsonl]", before={"eval/loss": 2.5, "eval/kl": 0.0}, after=after)
    assert found == [
        "held out (40 rows), before → after:",
        "  eval/loss  2.5 → 2  (better)",
        "  eval/kl    0 → 0.1",
        f"report:    {folder / 'report.html'}",
        f"chat:      medicalgpt chat --model '{folder}'",
        f"serve:     medicalgpt serve --model '{folder}'",
        f"evaluate:  medicalgpt generate --model '{folder}' --input held.jsonl --output answers.jsonl",
    ]


def test_a_reward_model_answers_nothing(tmp_path: Path) -> None:
    found = lines(tmp_path, "rm", before={}, after={})
    assert not any(line.startswith(("chat", "serve", "held out")) for line in found)
    assert found[-1].startswith(f"evaluate:  medicalgpt score --model {tmp_path} --input pairs.jsonl --pairs")


@pytest.mark.parametrize("stage", ["sft", "rm"])
def test_of_a_held_out_folder_a_file_is_named(stage: str, tmp_path: Path) -> None:
    held, row = tmp_path / "held out", '{"messages": [{"role": "user", "content": "Fever?"}]}\n'
    held.mkdir()
    for name in ("notes.md", "zh.jsonl", "en.jsonl"):
        (held / name).write_text(row, encoding="utf-8")
    found = lines(tmp_path, stage, f"data.eval=['{held}']", before={}, after={})
    assert f" --input '{held / 'en.jsonl'}' " in found[-1]


@pytest.mark.parametrize("there", [False, True])
def test_an_interrupted_run_names_its_report_if_there_is_one(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "report.html").touch()
    found = list(interrupted_lines(tmp_path, signal.SIGTERM))
    assert found[0] == f"stopped by SIGTERM with a checkpoint; the same command goes on from {tmp_path}"
    assert len(found) == 1 + there
