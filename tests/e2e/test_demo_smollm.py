"""The demo in small: the embedded SmolLM2-135M through PT, SFT and DPO on the sample data, two steps each.

The notebooks run the same stages in their short settings, and are looked at for the same numbers in `make slow`."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.stages import manifest
from typer.testing import CliRunner

from medicalgpt.cli import app

pytestmark = [pytest.mark.slow, pytest.mark.nightly]
ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "examples" / "data"


@pytest.fixture(autouse=True)
def _all_cores() -> Iterator[None]:
    """Tiny models run on one thread; this one is a real one."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


def few(source: Path, target: Path, count: int) -> str:
    """The first rows of a file, so that measuring stays short."""
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    target.write_text("".join(lines[:count]), encoding="utf-8")
    return str(target)


def plan_file(folder: Path, stages: list[dict[str, Any]], compare: dict[str, Any]) -> Path:
    """A pipeline on the embedded model."""
    plan = {"output_dir": str(folder / "runs"), "base": "smollm2-135m", "stages": stages, "compare": compare}
    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    return file


def small_demo(folder: Path) -> Path:
    """The shipped stage configs with two steps and a few held-out rows."""
    dialogues = few(DATA / "dialogues-heldout" / "en.jsonl", folder / "dialogues.jsonl", 8)
    pairs = few(DATA / "preferences-heldout" / "en.jsonl", folder / "pairs.jsonl", 6)
    document = sorted((DATA / "documents-heldout" / "en").glob("*.md"))[0]
    held_out = {"pt": str(document), "sft": dialogues, "dpo": pairs}
    limits = {"train.max_steps": 2, "train.tokens_per_step": 1024, "train.sample_count": 1, "train.sample_tokens": 8}
    stages: list[dict[str, Any]] = [
        {
            "name": stage,
            "stage": stage,
            "config": str(ROOT / "configs" / f"{stage}.yaml"),
            "set": {**limits, "data.eval": [held_out[stage]]},
        }
        for stage in held_out
    ]
    compare = {"documents": [held_out["pt"]], "dialogues": [dialogues], "preferences": [pairs], "max_tokens": 512}
    compare |= {"rows": 6, "stop_prompts": 2, "stop_tokens": 12, "questions": ["What is a fever?"]}
    return plan_file(folder, stages, compare)


def test_two_steps_of_every_stage_already_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, ["pipeline", "run", str(small_demo(tmp_path))])
    assert done.exit_code == 0, done.output
    runs = tmp_path / "runs"
    for stage in ("pt", "sft"):
        record = manifest(runs / stage)
        assert record["after"]["eval/loss"] < record["before"]["eval/loss"], stage
    pairs = manifest(runs / "dpo")
    assert pairs["before"]["eval/rewards/margin"] == 0.0
    assert pairs["after"]["eval/rewards/margin"] > 0.0
    numbers = {k: v["numbers"] for k, v in json.loads((runs / "summary.json").read_text(encoding="utf-8")).items()}
    assert numbers["pt"]["document perplexity"]["value"] < numbers["base"]["document perplexity"]["value"]
    assert numbers["sft"]["answer loss"]["value"] < numbers["pt"]["answer loss"]["value"]
    assert (runs / "loss.png").is_file()


def small_rl(folder: Path) -> Path:
    """The shipped reward-model and PPO configs with two steps, from the base, as an SFT stage is tested above."""
    pairs = few(DATA / "preferences-heldout" / "en.jsonl", folder / "pairs.jsonl", 6)
    rm = {"train.max_steps": 2, "train.tokens_per_step": 1024, "data.eval": [pairs], "model.base": "${base}"}
    ppo: dict[str, Any] = {
        "model.base": "${base}",
        "reward.model": "${rm}",
        "reward.allow_weak_model": True,  # two steps on six pairs prove nothing of a reward model
        "data.eval": [pairs],
        "train.max_steps": 2,
        "rollout.prompts": 2,
        "rollout.max_new_tokens": 12,
    }
    stages = [
        {"name": name, "stage": name, "config": str(ROOT / "configs" / f"{name}.yaml"), "set": values}
        for name, values in (("rm", rm), ("ppo", ppo))
    ]
    compare = {"preferences": [pairs], "max_tokens": 512, "questions": ["What is a fever?"], "stop_tokens": 12}
    return plan_file(folder, stages, compare)


def test_reward_model_and_ppo_on_one_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, ["pipeline", "run", str(small_rl(tmp_path))])
    assert done.exit_code == 0, done.output
    runs = tmp_path / "runs"
    facts = json.loads((runs / "rewards.json").read_text(encoding="utf-8"))
    assert facts["rm"]["accuracy"]["rows"] == 6
    assert {"before", "after", "samples"} <= facts["ppo"].keys()
    assert facts["ppo"]["samples"][0]["last"]["score"] is not None
    lines = [json.loads(line) for line in (runs / "ppo" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    updates = [line for line in lines if "train/kl" in line]
    assert len(updates) == 2
    assert abs(updates[0]["train/kl"]) < 1e-3, "the first answers come from the reference itself"
    assert updates[1]["train/value_loss"] > 0
    assert "## ppo" in (runs / "summary.md").read_text(encoding="utf-8")
    size = (runs / "ppo" / "model" / "adapter_model.safetensors").stat().st_size
    assert size < 30e6, "only the policy's adapter is published; critic and reward model would triple it"
