"""Nothing is asked of a model that was not put on the device first: policies, references, teachers, reward models, critics.

There is no second device here. What was placed is counted, and every forward pass of a model that was not is an error.
"""

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.marks import quick_and_slow
from tests.rl import scored_by
from tests.stages import Bench, write
from tests.stages import dialogues as rows
from transformers import PreTrainedModel

from medicalgpt.models.causal_lm import unwrap
from medicalgpt.training import placing, policy, reference
from medicalgpt.training.rl import scorers

SUPERVISED = {
    "sft": ("sft",),
    "adapter off": ("dpo",),
    "second model": ("dpo", "objective.reference=model"),
    "cached": ("dpo", "lora.enabled=false", "objective.reference=cached"),
    "kto": ("kto", "objective.reference=model"),
    "rm": ("rm",),
}
RL = {
    "ppo": ("ppo",),
    "ppo full": ("ppo", "lora.enabled=false"),
    "distill": ("distill",),
}


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the models that were placed, in order."""
    seen: weakref.WeakSet[Any] = weakref.WeakSet()
    names: list[str] = []

    def place(model: torch.nn.Module) -> None:
        placing.place(model)
        inner: Any = unwrap(model)
        seen.add(inner)
        names.append(type(inner).__name__)

    def guard(module: Any, *_: Any) -> None:
        if isinstance(module, PreTrainedModel):
            owners = [one for one in seen if any(part is module for part in one.modules())]
            assert owners, f"a {type(module).__name__} runs where it was loaded"

    for where in (policy, reference, scorers):
        monkeypatch.setattr(where, "place", place)
    handle = torch.nn.modules.module.register_module_forward_pre_hook(guard)
    yield names
    handle.remove()


@pytest.mark.parametrize("way", quick_and_slow(["second model"], [w for w in SUPERVISED if w != "second model"]))
def test_supervised(bench: Bench, tmp_path: Path, placed: list[str], no_figures: None, way: str) -> None:
    stage, *more = SUPERVISED[way]
    bench.train(stage, tmp_path / "run", "train.sample_count=1", *more)
    assert len(placed) == (2 if "objective.reference=model" in more else 1)


@pytest.mark.slow
@pytest.mark.parametrize("way", RL)
def test_roles(bench: Bench, tmp_path: Path, placed: list[str], no_figures: None, way: str) -> None:
    stage, *more = RL[way]
    prompts = write(tmp_path / "prompts.jsonl", rows(8))
    base = str(bench.base)
    words = ["rollout.prompts=4", "rollout.completions=2", "rollout.max_new_tokens=4", "train.max_steps=1"]
    words += ["data.eval_fraction=0.2", "train.sample_count=1", "data.max_tokens=64", "model.dtype=float32"]
    words += [f"objective.teacher={base}"] if stage == "distill" else [scored_by("share_of_a")]
    from medicalgpt.config.loader import load
    from medicalgpt.config.lookup import stage_schema
    from medicalgpt.training.stage import run_stage

    run_stage(
        load(
            stage_schema(stage),
            None,
            [f"model.base={base}", f"data.train={prompts}", f"output_dir={tmp_path / 'run'}", *words, *more],
        )
    )
    assert len(placed) == {"ppo": 1, "ppo full": 3, "distill": 2}[way]


def test_a_model_is_moved_and_a_quantized_one_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.tiny import tiny_model

    monkeypatch.setattr(placing, "training_device", lambda: torch.device("meta"))
    model = tiny_model()
    placing.place(model)
    assert {p.device.type for p in model.parameters()} == {"meta"}
    quantized = tiny_model()
    quantized.hf_device_map = {"": "cpu"}
    placing.place(quantized)
    assert {p.device.type for p in quantized.parameters()} == {"cpu"}
