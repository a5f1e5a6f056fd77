"""Launches whose wrapper would train what cannot be saved are refused with the key that replaces them; ours come together."""

import pytest
import torch.distributed as dist

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.errors import ConfigError
from medicalgpt.training import together
from medicalgpt.training.launch import join, refuse_other_launchers, side_group
from medicalgpt.training.stage import run_stage


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("ACCELERATE_USE_FSDP", "distributed.shard=full"),
        ("ACCELERATE_USE_DEEPSPEED", "distributed.reshard=false"),
        ("ACCELERATE_USE_MEGATRON_LM", "distributed.shard=full"),
        ("ACCELERATE_USE_PARALLELISM_CONFIG", "hybrid"),
    ],
)
@pytest.mark.parametrize("value", ["true", "1", "True"])
def test_other_launchers_are_refused(name: str, key: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        refuse_other_launchers({name: value})
    assert f"{name} is set" in str(refused.value)
    assert "torchrun --nproc_per_node" in str(refused.value)
    assert key in str(refused.value)


@pytest.mark.parametrize("environ", [{}, {"ACCELERATE_USE_FSDP": "false"}, {"ACCELERATE_USE_DEEPSPEED": ""}])
def test_others_are_not(environ: dict[str, str]) -> None:
    refuse_other_launchers(environ)


def test_a_stage_is_refused_before_anything_is_read(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    words = ["model.base=nowhere", "data.train=nowhere.jsonl", f"output_dir={tmp_path}/run"]
    with pytest.raises(ConfigError, match="ACCELERATE_USE_DEEPSPEED is set"):
        run_stage(load(stage_schema("sft"), None, words))


def test_one_process_needs_no_group() -> None:
    state = join(10.0)
    assert (state.process_index, state.num_processes) == (0, 1)
    assert not dist.is_initialized()
    assert side_group() is None
    assert together.first_does(lambda: 7) == 7
    assert together.gathered("a") == ["a"]
    together.wait()
