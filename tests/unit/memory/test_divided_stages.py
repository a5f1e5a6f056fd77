"""The estimate of stages whose models are divided: what lies in main memory, and what is whole while answers are drawn."""

from pathlib import Path
from typing import Any

import pytest
from tests.tiny import NO_WEIGHTS, tiny_config

from medicalgpt.config.stages import GrpoConfig, SftConfig
from medicalgpt.memory import estimate
from medicalgpt.memory.estimate import estimate_stage
from medicalgpt.memory.footprint import base_bytes
from medicalgpt.memory.shape import shape_of_config

SIZES = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8, "vocab_size": 2000}


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORLD_SIZE", "8")
    tiny_config("llama", **SIZES).save_pretrained(tmp_path / "base")
    (tmp_path / "base" / "model.safetensors").write_bytes(NO_WEIGHTS)
    return tmp_path / "base"


def stage(base: Path, kind: Any = SftConfig, **sections: Any) -> Any:
    given = {"model": {"base": str(base), "dtype": "float32"}, "data": {"train": ["a"], "max_tokens": 16}, **sections}
    return kind(output_dir="out", **given)


def test_while_answers_are_drawn_the_policy_is_whole(base: Path) -> None:
    reward = {"model": "rm"}
    few = {"max_new_tokens": 8, "completions": 2}
    own = estimate_stage(stage(base, GrpoConfig, reward=reward, rollout=few), shards=8)
    servers = {"backend": "vllm", "servers": ["http://127.0.0.1:1"], **few}
    theirs = estimate_stage(stage(base, GrpoConfig, reward=reward, rollout=servers), shards=8)
    whole = base_bytes(shape_of_config(tiny_config("llama", **SIZES)), own.setup)
    cache = 32 * 16 * SIZES["num_hidden_layers"] * 2 * shape_of_config(tiny_config("llama", **SIZES)).key * 4
    assert own.total == own.weights + own.scorer + own.optimizer + whole + cache
    assert theirs.total < 0.7 * own.total, "servers hold the whole policy, no process does"
    assert estimate_stage(stage(base, GrpoConfig, reward=reward, rollout=few)).gathered == 0


def test_parts_in_main_memory_are_not_on_the_device(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = {"lora": {"enabled": False}, "distributed": {"offload": "cpu"}}
    on_cpu = estimate_stage(stage(base, **full), shards=8)
    assert on_cpu.weights > 0, "main memory is the device"
    monkeypatch.setattr(estimate, "_this_device", lambda: "cuda")
    moved = estimate_stage(stage(base, **full), shards=8)
    assert (moved.weights, moved.gradients, moved.optimizer) == (0, 0, 0)
    assert moved.gathered == on_cpu.gathered > 0


def test_what_is_not_divided_cannot_be_moved(base: Path) -> None:
    with pytest.raises(ValueError, match="shard=none divides none; use shard=full"):
        stage(base, distributed={"shard": "none", "offload": "cpu"})
