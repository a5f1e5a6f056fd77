"""The estimate of stages with rollouts: everybody who lies in memory, and what is there while answers are drawn."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny import NO_WEIGHTS, tiny_config, tiny_model, tiny_tokenizer
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.sections import ModelConfig
from medicalgpt.config.stages import DistillConfig, DpoConfig, GrpoConfig, PpoConfig, RlooConfig
from medicalgpt.errors import ModelError
from medicalgpt.memory.estimate import estimate_stage
from medicalgpt.memory.footprint import MemoryEstimate, base_bytes, estimate
from medicalgpt.memory.roles import Roles, usual_roles, with_roles
from medicalgpt.memory.setup import Setup
from medicalgpt.memory.shape import shape_of_config, shape_of_size
from medicalgpt.models.load import load
from medicalgpt.models.scorer import MERGED_FROM

SIZES = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8, "vocab_size": 2000}
FULL = {"lora": {"enabled": False}}


def folder(place: Path, **sizes: int) -> Path:
    tiny_config("llama", **SIZES | sizes).save_pretrained(place)
    (place / "model.safetensors").write_bytes(NO_WEIGHTS)
    return place


def adapter(place: Path, base: Path) -> Path:
    place.mkdir(parents=True)
    said = {"peft_type": "LORA", "base_model_name_or_path": str(base), "r": 8, "target_modules": ["q_proj"]}
    (place / "adapter_config.json").write_text(json.dumps(said | {"task_type": "SEQ_CLS"}))
    (place / "adapter_model.safetensors").write_bytes(NO_WEIGHTS)
    return place


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return folder(tmp_path / "base")


def found(base: Path, kind: Any, shards: int = 1, **sections: Any) -> MemoryEstimate:
    given = {"model": {"base": str(base), "dtype": "float32"}, "data": {"train": ["a"], "max_tokens": 256}, **sections}
    return estimate_stage(kind(output_dir="out", **given), shards)


def test_in_full_training_every_role_is_a_model(base: Path, tmp_path: Path) -> None:
    small = folder(tmp_path / "small", num_hidden_layers=2)
    own, scorer = (shape_of_config(tiny_config("llama", **SIZES | {"num_hidden_layers": n})) for n in (8, 2))
    all_four = found(base, PpoConfig, reward={"model": str(small)}, **FULL)
    one = own.parameters * 4
    assert (all_four.weights, all_four.gradients, all_four.optimizer) == (one, one, 2 * one)
    assert all_four.critic == 3 * one, "weights and two moments; its gradients are there when the policy's are not"
    assert all_four.reference == one
    assert all_four.scorer == scorer.parameters * 4
    assert found(base, RlooConfig, reward={"model": str(small)}, rollout={"completions": 2}, **FULL).critic == 0
    taught = found(base, DistillConfig, objective={"teacher": str(small)}, **FULL)
    assert (taught.teacher, taught.scorer, taught.critic) == (scorer.parameters * 4, 0, 0)


def test_with_lora_the_base_is_there_once(base: Path, tmp_path: Path) -> None:
    on_base = adapter(tmp_path / "rm" / "model", base)
    shared = found(base, PpoConfig, reward={"model": str(on_base)})
    assert shared.reference == 0
    trained = shared.trained_parameters * 4
    assert shared.critic == 3 * trained
    assert shared.scorer == trained
    merged = folder(tmp_path / "rm" / "merged")
    (merged / MERGED_FROM).write_text("stamp\n")
    assert found(base, PpoConfig, reward={"model": str(merged)}).scorer == trained, "its adapter is taken"
    alone = found(base, PpoConfig, reward={"model": str(folder(tmp_path / "other"))})
    assert alone.scorer == base_bytes(shape_of_config(tiny_config("llama", **SIZES)), alone.setup)


def test_a_reward_model_that_is_not_there_yet_counts_as_the_base(base: Path) -> None:
    missing, there = (found(base, PpoConfig, reward={"model": name}, **FULL).scorer for name in ("runs/rm", str(base)))
    assert missing == there > 0


def test_answers_take_what_learning_leaves_no_room_for(base: Path) -> None:
    few = found(base, GrpoConfig, reward={"model": str(base)}, rollout={"completions": 2, "batch_size": 1})
    many = found(base, GrpoConfig, reward={"model": str(base)}, rollout={"completions": 2, "batch_size": 256})
    assert few.answers == 0
    shape = shape_of_config(tiny_config("llama", **SIZES))
    cache = 256 * 256 * shape.layers * 2 * shape.key * 4
    standing = many.weights + many.scorer + many.optimizer
    assert many.total == standing + cache
    assert many.total - few.total == many.answers > 0


def test_a_row_has_room_for_two_of_the_longest_answers(base: Path) -> None:
    assert found(base, GrpoConfig, reward={"model": str(base)}, rollout={"completions": 2}).setup.row_tokens == 512


def test_everything_is_divided_and_may_lie_in_main_memory() -> None:
    shape = shape_of_size("7B")
    roles = usual_roles(PpoConfig, lora=False, policy=shape, tokens=1024)
    whole, parts, away = (
        with_roles(estimate(shape, Setup("full", processes=8, shards=shards, offload=offload)), shape, roles)
        for shards, offload in ((1, False), (8, False), (8, True))
    )
    for name in ("weights", "critic", "scorer", "reference", "gradients", "optimizer"):
        assert getattr(parts, name) == getattr(whole, name) // 8, name
    moved = ("weights", "critic", "scorer", "reference", "gradients", "optimizer")
    assert away.host == sum(getattr(parts, name) for name in moved)
    assert not any(getattr(away, name) for name in moved)
    assert away.activations == parts.activations
    with pytest.raises(ModelError, match="offload moves a process's part of the model, and none is divided"):
        Setup("full", offload=True)


def test_a_checkpoint_holds_what_is_trained_and_its_moments() -> None:
    shape = shape_of_size("7B")
    alone = estimate(shape, Setup("full", processes=8, shards=8))
    assert alone.checkpoint == 3 * 4 * shape.parameters
    assert with_roles(alone, shape, Roles(critic=True)).checkpoint == pytest.approx(6 * 4 * shape.parameters, rel=1e-6)


def _stored(model: torch.nn.Module) -> int:
    """Bytes of its tensors, with the scales of quantized ones; a tensor that two modules share once."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    for parameter in model.parameters():
        if (state := getattr(parameter, "quant_state", None)) is not None:
            tensors |= {id(tensor): tensor for tensor in (state.absmax, state.state2.absmax)}
        if (scales := getattr(parameter, "SCB", None)) is not None:
            tensors[id(scales)] = scales
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


@pytest.mark.parametrize(("quantization", "method"), [("none", "lora"), ("int8", "qlora8"), ("nf4", "qlora4")])
def test_a_teacher_is_counted_in_the_bits_it_is_stored_in(
    quantization: Any, method: Any, base: Path, tmp_path: Path
) -> None:
    """Against the tensors of a loaded model; nf4 unpacks one matrix at a time beside them."""
    large = SIZES | {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8, "num_key_value_heads": 8}
    place = tmp_path / "teacher"
    model = tiny_model("llama", **large)
    model.save_pretrained(place)
    tiny_tokenizer().save_pretrained(place)
    told = {"teacher": str(place), "teacher_quantization": quantization}
    counted = found(base, DistillConfig, objective=told).teacher
    loaded = load(ModelConfig(base=str(place), dtype="float32"), quantization).model
    unpacked = 4 * 512 * 2048 if quantization == "nf4" else 0
    assert counted - unpacked == pytest.approx(_stored(loaded), rel=0.01)
    shape = shape_of_config(model.config)
    others = usual_roles(DistillConfig, True, shape_of_size("7B"), 64, shape, quantization)
    assert others.teacher == shape
    assert with_roles(estimate(shape, Setup()), shape, others).teacher == counted


def test_bits_of_the_student_are_none_of_the_teachers_and_of_the_reward_models(base: Path, tmp_path: Path) -> None:
    """They are loaded whole; they were counted in the student's four bits."""
    other = folder(tmp_path / "other")
    whole = 4 * shape_of_config(tiny_config("llama", **SIZES)).parameters
    assert found(base, DistillConfig, objective={"teacher": str(other)}, quantization="nf4").teacher == whole
    assert found(base, PpoConfig, reward={"model": str(other)}, quantization="nf4").scorer == whole
    compared = {"reference": "model", "reference_model": str(other)}
    assert found(base, DpoConfig, objective=compared, quantization="nf4").reference < whole / 2, "as the policy's base"


def test_the_command_names_the_parts() -> None:
    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["estimate", "--params", "7B", "--device", "cuda", "--dtype", "mixed", *words])
        assert done.exit_code == 0, done.output
        return str(done.output)

    ppo = ("--stage", "ppo", "--method", "full", "--shard", "8")
    full = said(*ppo)
    assert full.startswith("7B (ppo): ")
    parts = [line.split()[0] for line in full.splitlines()[2:7]]
    assert parts == ["weights", "gathered", "critic", "scorer", "reference"]
    assert "a checkpoint on disk: 161.7 GB" in full
    assert "in main memory, each process's part: 27.0 GB" in said(*ppo, "--offload")
    assert "rows of 2048 tokens" in said("--stage", "dpo"), "two answers"
    assert DpoConfig.branches == 2
    assert "rows of 1024 tokens" in said("--stage", "sft")
    assert "teacher" in said("--stage", "distill", "--shard", "2", "--max-tokens", "64")
    sizes = [
        float(re.findall(r"teacher +([\d.]+) GB", said("--stage", "distill", "--teacher-quantization", bits))[0])
        for bits in ("none", "int8", "nf4")
    ]
    assert sizes == [13.5, 7.0, 4.0]
    refused = CliRunner().invoke(app, ["estimate", "--params", "7B", "--stage", "sft", "--teacher-quantization", "nf4"])
    assert refused.exit_code == 2
    assert "add --stage distill" in refused.output
