"""Whole runs with every optimizer: they learn, and a killed one ends in the bytes of one that never was."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests import rl
from tests.marks import quick_and_slow
from tests.stages import Bench, Killed, metrics, weights

from medicalgpt.training.supervised import trainer

FIXED = (
    "lora.modules_to_save=[embed_tokens]",
    "lora.rank=64",
    "lora.plus_ratio=4",
    "train.max_steps=8",
    "train.learning_rate=3e-3",
    "train.tokens_per_step=256",
    "train.save_every=3",
    "train.save_minutes=null",
)
SMALL = {"galore": ("train.galore_rank=4", "train.galore_interval=2", "train.galore_scale=1")}
DRAWN = ("lora.rank=64", "lora.plus_ratio=4", "train.max_steps=3", "train.save_every=1", "train.save_minutes=null")


def dies_at_step(step: int, patch: pytest.MonkeyPatch) -> None:
    take = trainer.StageTrainer.training_step

    def dies(self: trainer.StageTrainer, *args: object) -> torch.Tensor:
        if self.state.global_step == step:
            raise Killed
        return take(self, *args)  # type: ignore[arg-type]  # passed on as they came

    patch.setattr(trainer.StageTrainer, "training_step", dies)


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=0, rtol=0)


@pytest.mark.parametrize("name", quick_and_slow(["adamw_8bit"], ["adamw", "adafactor", "muon", "galore"]))
def test_a_killed_run_ends_as_if_unbroken(
    name: str, bench: Bench, tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*FIXED, f"train.optimizer={name}", *SMALL.get(name, ()))
    whole = bench.train("sft", tmp_path / "whole", *words)
    assert whole.after["eval/loss"] < whole.before["eval/loss"] - 0.1
    with monkeypatch.context() as patch:
        dies_at_step(5, patch)
        with pytest.raises(Killed):
            bench.train("sft", tmp_path / "broken", *words)
    state = torch.load(tmp_path / "broken" / "checkpoints" / "step-3" / "optimizer.pt", weights_only=True)["state"]
    held = {name for entry in state.values() for name in entry}
    kinds = {"adamw": "exp_avg", "adamw_8bit": "absmax1", "adafactor": "exp_avg_sq_row", "muon": "momentum_buffer"}
    kinds["galore"] = "projection"
    assert kinds[name] in held
    bench.train("sft", tmp_path / "broken", *words)
    assert_same(weights(tmp_path / "broken"), weights(tmp_path / "whole"))
    assert any("embed_tokens" in name for name in weights(tmp_path / "whole"))
    assert metrics(tmp_path / "broken") == metrics(tmp_path / "whole")


@pytest.mark.parametrize("name", quick_and_slow(["muon"], ["adamw", "adamw_8bit", "adafactor", "galore"]))
def test_rollouts_go_on_as_if_unbroken(
    name: str, bench: Bench, tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Policy and critic, each with its own learning rate."""
    words = (*DRAWN, f"train.optimizer={name}", *SMALL.get(name, ()))
    rl.train(bench, "ppo", tmp_path / "whole", *words)
    with rl.dies_in_the_third_update(monkeypatch):
        rl.train(bench, "ppo", tmp_path / "broken", *words)
    rl.train(bench, "ppo", tmp_path / "broken", *words)

    def last(run: Path) -> dict[str, torch.Tensor]:
        return load_file(run / "checkpoints" / "step-3" / "trainable.safetensors")

    assert_same(last(tmp_path / "broken"), last(tmp_path / "whole"))
    first = load_file(tmp_path / "whole" / "checkpoints" / "step-2" / "trainable.safetensors")
    assert any(not torch.equal(value, last(tmp_path / "whole")[name]) for name, value in first.items())
