"""A teacher is a model of its own: what the student's keys say of the student's positions, adapter or commit is not said of it."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.stages import dialogues, write
from tests.tiny import save_tiny, tiny_model

from medicalgpt.config.loader import load
from medicalgpt.config.rl import RlConfig
from medicalgpt.config.sections import ModelConfig
from medicalgpt.config.stages import DistillConfig
from medicalgpt.errors import ConfigError
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.load import load as load_model
from medicalgpt.models.load import load_tokenizer
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.training.rl.teacher import open_teacher

YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 64}


def distill(tmp_path: Path, teacher: Path, **student: object) -> RlConfig:
    """A run whose student says more of its own model than a file may: what a second model must not take over."""
    data = write(tmp_path / "rows.jsonl", dialogues(4))
    words = [
        f"model.base={tmp_path / 'student'}",
        f"objective.teacher={teacher}",
        f"data.train=[{data}]",
        "output_dir=run",
    ]
    config: RlConfig = load(DistillConfig, None, words).value
    return config.model_copy(update={"model": config.model.model_copy(update=student)})


def opened(config: RlConfig) -> CausalPolicy:
    policy = CausalPolicy(load_model(ModelConfig(base=config.model.base)).model)
    return open_teacher(str(config.teacher), config, policy, load_tokenizer(config.model.base))


def test_its_positions_are_its_own(tmp_path: Path) -> None:
    save_tiny(tmp_path / "student", max_position_embeddings=64)
    teacher = save_tiny(tmp_path / "teacher", seed=1, max_position_embeddings=256, rope_parameters=YARN)
    asked = {"rope_scaling": "linear", "rope_factor": 2.0, "revision": "v2", "adapter": "runs/other"}
    found = unwrap(opened(distill(tmp_path, teacher, **asked)).model)
    assert found.config.rope_parameters["rope_type"] == "yarn"
    assert found.config.max_position_embeddings == 256
    plain = save_tiny(tmp_path / "plain", seed=1, max_position_embeddings=64)
    found = unwrap(opened(distill(tmp_path, plain, **asked)).model)
    assert found.config.rope_parameters["rope_type"] == "default"


def test_an_adapter_teaches_with_the_tokenizer_of_its_base(tmp_path: Path) -> None:
    """peft saves none beside an adapter."""
    base = save_tiny(tmp_path / "student")
    lora = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    torch.manual_seed(0)
    adapted = get_peft_model(tiny_model(), lora)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(tmp_path / "teacher")
    found = opened(distill(tmp_path, tmp_path / "teacher"))
    assert any("lora_" in name for name, _ in found.model.named_parameters())


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    save_tiny(tmp_path / "student")
    teacher = save_tiny(tmp_path / "teacher")
    tokenizer = load_tokenizer(str(teacher))
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(teacher)
    with pytest.raises(ConfigError, match=r"has another vocabulary .* Choose a teacher of the student's family"):
        opened(distill(tmp_path, teacher))
