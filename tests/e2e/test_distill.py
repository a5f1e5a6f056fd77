"""Distillation with a teacher in few bits and answers of the data learns, and a killed run ends as if unbroken."""

from pathlib import Path

import pytest
import torch
from tests import rl
from tests.stages import Bench, column, metrics, weights
from tests.tiny import save_tiny

from medicalgpt.training.rl import opening


@pytest.mark.parametrize(
    ("quantization", "layer"),
    [pytest.param("nf4", "Linear4bit"), pytest.param("int8", "Linear8bitLt", marks=pytest.mark.slow)],
)
def test_a_teacher_in_few_bits_and_the_datas_own_answers(
    quantization: str,
    layer: str,
    bench: Bench,
    tmp_path: Path,
    no_figures: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    teacher = save_tiny(tmp_path / "teacher", seed=1)
    kinds: list[set[str]] = []
    opened = opening.open_teacher

    def seen(*args: object, **kwargs: object) -> object:
        found = opened(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came
        kinds.append({type(module).__name__ for module in found.modules()})
        return found

    monkeypatch.setattr(opening, "open_teacher", seen)
    words = (
        f"objective.teacher={teacher}",
        f"objective.teacher_quantization={quantization}",
        "objective.on_policy=0.5",
        "train.max_steps=6",
        "train.save_every=1",
        "train.learning_rate=1e-2",
        "lora.rank=32",
        "rollout.prompts=8",
        "rollout.max_new_tokens=16",
    )
    whole = rl.train(bench, "distill", tmp_path / "whole", *words)
    assert layer in kinds[0]
    assert whole.after["eval/score"] > whole.before["eval/score"]
    with rl.dies_in_the_third_update(monkeypatch):
        rl.train(bench, "distill", tmp_path / "broken", *words)
    rl.train(bench, "distill", tmp_path / "broken", *words)
    for name, value in weights(tmp_path / "whole").items():
        torch.testing.assert_close(weights(tmp_path / "broken")[name], value, atol=0, rtol=0)
    assert column(tmp_path / "broken", "train/divergence") == column(tmp_path / "whole", "train/divergence")
    rl.train(bench, "distill", tmp_path / "drawn", *words, "objective.on_policy=1")
    drawn, mixed = (metrics(tmp_path / run) for run in ("drawn", "whole"))
    assert drawn[0] == mixed[0]
    assert drawn[1]["train/divergence"] != mixed[1]["train/divergence"]
    assert mixed[1]["train/tokens"] < drawn[1]["train/tokens"], "nothing is drawn where the data answers"
