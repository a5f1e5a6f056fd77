"""configs/grpo-medical.yaml on a tiny model: it starts, and shows letter accuracy, format and stop rate before → after."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.test_rl_resume import lines
from tests.stages import Bench, manifest

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.training.stage import run_stage

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "grpo-medical.yaml"


@pytest.fixture
def outcome(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None) -> Any:
    monkeypatch.chdir(ROOT)
    # The tiny tokenizer makes a token of nearly every character.
    words = [f"model.base={bench.base}", f"output_dir={tmp_path / 'run'}", "train.max_steps=2", "train.eval_every=2"]
    words += ["data.max_tokens=512", "train.eval_prompts=6", "model.dtype=float32", "rollout.completions=2"]
    return run_stage(load(stage_schema("grpo"), CONFIG, words))


def test_it_starts_and_shows_what_it_is_for(outcome: Any) -> None:
    assert outcome.status == "finished"
    record = manifest(outcome.folder)
    for moment in ("before", "after"):
        for name in ("eval/parts/choice_letter", "eval/parts/length", "eval/stop_rate"):
            value, low, high = (record[moment][f"{name}{end}"] for end in ("", "_low", "_high"))
            assert 0 <= low <= value <= high <= 1
            assert low < high, "six answers leave a doubt"
    updates = [line for line in lines(outcome.folder) if line["step"]]
    assert len(updates) == 2
    assert all(8 <= line["train/prompts"] <= 24 for line in updates)
    assert record["ledger"]["rows"] == 150


def test_its_paths_are_there() -> None:
    data = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["data"]
    assert all(os.path.isdir(ROOT / path) for path in (*data["train"], *data["eval"]))
