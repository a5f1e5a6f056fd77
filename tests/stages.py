"""Tiny stages end to end: a tiny base, a little data of every kind, and one call to train on it."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from medicalgpt.config.loader import Resolved, load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.models.probe import probe_trees
from medicalgpt.rendering.batch import TreeBatch, pad_trees
from medicalgpt.training.context import Outcome
from medicalgpt.training.stage import run_stage
from medicalgpt.training.stages import STAGES, unregister_stage
from tests.tiny import save_tiny

_COMPLAINTS = ("fever", "cough", "headache", "high blood pressure", "糖尿病", "發燒", "back pain", "asthma")
_ADVICE = ("Drink enough.", "Call a doctor when it lasts three days.", "Less salt, more movement.", "請諮詢醫師。")

# Rows of 64 tokens, one row a step, two steps: the least that is still training.
SMALL = (
    "data.max_tokens=64",
    "train.row_tokens=64",
    "train.tokens_per_step=64",
    "train.max_steps=2",
    "train.sample_count=0",
    "model.dtype=float32",
)


def dialogues(count: int = 20, first: int = 0) -> list[dict[str, Any]]:
    """Questions and answers, every third with a second turn."""
    rows = []
    for i in range(first, first + count):
        complaint, advice = _COMPLAINTS[i % 8], _ADVICE[i % 4]
        turns = [_turn("user", f"What helps with {complaint} {i}?"), _turn("assistant", f"{advice} {i % 7} days.")]
        if i % 3 == 0:
            turns += [_turn("user", "And then?"), _turn("assistant", "Then see a doctor.")]
        rows.append({"messages": turns})
    return rows


def preferences(count: int = 12, first: int = 0) -> list[dict[str, Any]]:
    """Questions with a careful and a careless answer."""
    return [
        {
            "prompt": f"How is {_COMPLAINTS[i % 8]} {i} treated?",
            "chosen": f"{_ADVICE[i % 4]} {i % 5}",
            "rejected": f"Take {i} tablets at once.",
        }
        for i in range(first, first + count)
    ]


def feedback(count: int = 18, first: int = 0) -> list[dict[str, Any]]:
    """Every question three times: with two careful answers and a careless one."""
    pairs = preferences(count, first)
    return [
        {
            "prompt": pairs[i - i % 3]["prompt"],
            "completion": pair["chosen" if i % 3 else "rejected"],
            "label": i % 3 > 0,
        }
        for i, pair in enumerate(pairs)
    ]


def documents(count: int = 6, first: int = 0) -> list[dict[str, Any]]:
    """Running text, some of it longer than 64 tokens."""
    return [
        {"text": " ".join(f"{_COMPLAINTS[(i + k) % 8]}: {_ADVICE[k % 4]}" for k in range(2 + i % 4)) + f" Page {i}."}
        for i in range(first, first + count)
    ]


def _turn(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def write(path: Path, rows: Sequence[Any]) -> Path:
    """JSON Lines, nothing escaped."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


class Killed(BaseException):
    """Stands for a process that dies: no `except Exception` may stop it."""


# Keys without a default, beside the data and the output folder that every stage needs.
NEEDED = {
    "ppo": ["reward.model=runs/rm"],
    "rloo": ["reward.model=runs/rm"],
    "grpo": ["reward.model=runs/rm"],
    "distill": ["objective.teacher=runs/large"],
}


@dataclass(frozen=True)
class Bench:
    """A folder with a tiny base and one data file a stage."""

    folder: Path

    @classmethod
    def set_up(cls, folder: Path, **base: Any) -> "Bench":
        """`base`: what its configuration has otherwise."""
        save_tiny(folder / "base", **base)
        for stage, rows in (
            ("sft", dialogues()),
            ("dpo", preferences()),
            ("orpo", preferences()),
            ("simpo", preferences()),
            ("kto", feedback()),
            ("rm", preferences()),
            ("pt", documents()),
        ):
            write(folder / f"{stage}.jsonl", rows)
        return cls(folder)

    @property
    def base(self) -> Path:
        return self.folder / "base"

    def words(self, stage: str, out: Path, *overrides: str) -> list[str]:
        """What stands behind `medicalgpt train`."""
        files = [f"model.base={self.base}", f"data.train={self.folder / stage}.jsonl", f"output_dir={out}"]
        return [stage, *files, *SMALL, *overrides]

    def config(self, stage: str, out: Path, *overrides: str) -> Resolved[Any]:
        _, *words = self.words(stage, out, *overrides)
        return load(stage_schema(stage), None, words)

    def train(self, stage: str, out: Path, *overrides: str) -> Outcome:
        """The stage in this process."""
        return run_stage(self.config(stage, out, *overrides))


def metrics(run: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what depends on the clock."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in line.items() if k != "train/tokens_per_second"} for line in lines]


def column(run: Path, name: str) -> list[float]:
    """One metric in the order it was written."""
    return [line[name] for line in metrics(run) if name in line]


def manifest(run: Path) -> dict[str, Any]:
    return json.loads((run / "manifest.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def assert_no_other_run(found: Path, wanted: Path) -> None:
    """Who computes what is no part of a run: two runs have the same samples, the same key and the same best step."""
    pair, single = (run / "samples.jsonl" for run in (found, wanted))
    assert pair.exists() == single.exists()
    if single.exists():
        assert pair.read_text() == single.read_text()
    first, second = manifest(found), manifest(wanted)
    assert first["config_key"] == second["config_key"], "who computes what is no other run"
    assert first.get("best") == pytest.approx(second.get("best"))


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The saved weights of a run: an adapter's, or all of them."""
    from safetensors.torch import load_file

    (file,) = (run / "model").glob("*.safetensors")
    return load_file(file)


def largest_gap(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """Largest difference between two sets of weights with the same names."""
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def probe_logps(model: Any) -> torch.Tensor:
    """log p of fixed token ids under a transformers or peft model, through nothing but its own forward pass."""
    batch = probe()
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False).logits
    rows = torch.log_softmax(logits.float().reshape(-1, logits.shape[-1])[batch.at], -1)
    return rows.gather(1, batch.targets[:, None])[:, 0]


def probe() -> TreeBatch:
    return pad_trees(probe_trees(400))


@contextmanager
def stages_as_before() -> Iterator[None]:
    """Stages are registered for a process, and tests share one: what was registered inside is taken out again."""
    known = set(STAGES)
    yield
    for name in set(STAGES) - known:
        unregister_stage(name)


def child(**more: str) -> dict[str, str]:
    """The environment of a process of its own: one thread, no network, this process's cache."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", **more}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "medicalgpt", *words]
