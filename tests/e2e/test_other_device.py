"""The CPU as another accelerator: a run asks torch for everything that it asks of a device, and gets the numbers of a plain one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.stages import Bench, largest_gap, manifest, metrics, weights

OPTIONS = ("train.save_every=1", "train.keep_checkpoints=2", "lora.enabled=false")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of an accelerator that is this CPU under another name for itself."""
    said: list[str] = []

    def answer(name: str, value: Any) -> Any:
        def told(*_: Any, **__: Any) -> Any:
            said.append(name)
            return value() if callable(value) else value

        return told

    kind = torch.device("cpu")
    module = SimpleNamespace(
        get_device_name=answer("name", "Other 9000"),
        is_bf16_supported=answer("bfloat16", False),
        get_rng_state_all=answer("random state", lambda: [torch.random.get_rng_state()]),
    )
    facts = {
        "current_accelerator": kind,
        "device_count": 1,
        "current_device_index": 0,
        "get_memory_info": (1 << 40, 1 << 40),
    }
    for name, value in facts.items():
        monkeypatch.setattr(torch.accelerator, name, answer(name, value))
    plain = torch.get_device_module
    monkeypatch.setattr(torch, "get_device_module", lambda d=None: module if d == kind else plain(d))
    return said


def test_a_stage_trains_on_another_accelerator(
    bench: Bench, tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    out, plain = tmp_path / "other", tmp_path / "plain"
    bench.train("sft", out, *OPTIONS, "model.dtype=auto")
    assert manifest(out)["device"] == "Other 9000"
    assert {"get_memory_info", "bfloat16", "random state", "name", "current_device_index"} <= set(asked)
    monkeypatch.undo()
    monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "cache"))
    bench.train("sft", plain, *OPTIONS, "model.dtype=float32")
    assert manifest(plain)["device"] == "cpu"
    assert metrics(out) == metrics(plain)
    assert largest_gap(weights(out), weights(plain)) == 0.0
