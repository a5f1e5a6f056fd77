"""Rows keep to the context of every model that reads them; nothing but configs is read for it."""

from pathlib import Path
from typing import Any

import pytest
import transformers as t
from tests.tiny import NO_WEIGHTS

from medicalgpt.config.base import StageConfig
from medicalgpt.config.stages import DistillConfig, DpoConfig, PtConfig, RlooConfig, SftConfig
from medicalgpt.errors import ConfigError, ModelError
from medicalgpt.models.context import fitting
from medicalgpt.models.locate import locate
from medicalgpt.training.limits import within_models

SMALL: dict[str, Any] = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
ROTARY = {"llama": t.LlamaConfig, "qwen2": t.Qwen2Config, "phi3": t.Phi3Config, "gpt_neox": t.GPTNeoXConfig}


def model(folder: Path, config: Any) -> str:
    folder.mkdir()
    config.save_pretrained(folder)
    (folder / "model.safetensors").write_bytes(NO_WEIGHTS)
    return str(folder)


def rotary(folder: Path, positions: int, kind: str = "llama") -> str:
    more = {"pad_token_id": 0, "intermediate_size": 16, "max_position_embeddings": positions}
    return model(folder, ROTARY[kind](**SMALL, **more))


def learned(folder: Path, positions: int, kind: str) -> str:
    if kind == "gpt2":
        return model(folder, t.GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=positions))
    if kind == "opt":
        return model(
            folder, t.OPTConfig(**SMALL, ffn_dim=16, word_embed_proj_dim=16, max_position_embeddings=positions)
        )
    sizes = {"vocab_size": 40, "hidden_size": 16, "num_layers": 1, "num_heads": 2, "attention_types": [[["global"], 1]]}
    return model(folder, t.GPTNeoConfig(**sizes, max_position_embeddings=positions))


def limited(schema: type[StageConfig], base: str, asked: int = 1024, **more: Any) -> tuple[StageConfig, list[str]]:
    said: list[str] = []
    data = {"train": ["rows.jsonl"], "max_tokens": asked}
    config = schema(model={"base": base}, data=data, output_dir="out", **more)
    return within_models(config, locate(base), said.append), said


@pytest.mark.parametrize("kind", ROTARY)
@pytest.mark.parametrize("schema", [PtConfig, SftConfig])
def test_the_limit_is_lowered_to_a_rotary_models_context_and_that_is_said(
    schema: type[StageConfig], kind: str, tmp_path: Path
) -> None:
    base = rotary(tmp_path / "base", 64, kind)
    config, said = limited(schema, base)
    assert config.data.max_tokens == 64
    (line,) = said
    assert line.startswith(f"warning: data.max_tokens=1024 is lowered to 64, the context of {base}")


def test_a_length_that_the_config_names_in_a_word_of_its_own(tmp_path: Path) -> None:
    base = model(tmp_path / "base", t.MptConfig(vocab_size=40, d_model=16, n_layers=1, n_heads=2, max_seq_len=64))
    assert limited(SftConfig, base)[0].data.max_tokens == 64


@pytest.mark.parametrize("asked", [64, 63, 16])
def test_a_limit_within_the_context_is_left_alone(asked: int, tmp_path: Path) -> None:
    config, said = limited(SftConfig, rotary(tmp_path / "base", 64), asked)
    assert (config.data.max_tokens, said) == (asked, [])
    config, said = limited(SftConfig, learned(tmp_path / "gpt2", 64, "gpt2"), asked)
    assert (config.data.max_tokens, said) == (asked, [])


@pytest.mark.parametrize("kind", ["gpt2", "opt", "gpt_neo"])
def test_learned_positions_that_end_before_the_limit_are_an_error_with_both_numbers(kind: str, tmp_path: Path) -> None:
    base = learned(tmp_path / "base", 64, kind)
    with pytest.raises(
        ConfigError, match=r"data\.max_tokens=1024, but .*base has 64 learned positions.*max_tokens=64 or less"
    ):
        limited(SftConfig, base)


def test_a_model_without_a_bound_bounds_nothing(tmp_path: Path) -> None:
    base = model(tmp_path / "base", t.BloomConfig(vocab_size=40, hidden_size=16, n_layer=1, n_head=2))
    config, said = limited(SftConfig, base, 100_000)
    assert (config.data.max_tokens, said) == (100_000, [])


def test_the_shortest_context_of_all_models_counts(tmp_path: Path) -> None:
    base, short = rotary(tmp_path / "base", 2048), rotary(tmp_path / "short", 96)
    config, said = limited(DpoConfig, base, objective={"reference": "model", "reference_model": short})
    assert config.data.max_tokens == 96
    assert short in said[0]
    config, _ = limited(DistillConfig, base, objective={"teacher": short}, rollout={"max_new_tokens": 32})
    assert config.data.max_tokens == 96
    config, _ = limited(RlooConfig, base, reward={"model": short}, rollout={"max_new_tokens": 32, "completions": 2})
    assert config.data.max_tokens == 96
    table = learned(tmp_path / "table", 96, "gpt2")
    with pytest.raises(ConfigError, match="table has 96 learned positions"):
        limited(RlooConfig, base, reward={"model": table}, rollout={"max_new_tokens": 32, "completions": 2})


def test_prompt_and_new_tokens_of_rollouts_fit_together(tmp_path: Path) -> None:
    base = rotary(tmp_path / "base", 96)
    with pytest.raises(
        ConfigError, match=r"rollout\.max_new_tokens=128, but the context of .*base is 96 tokens for prompt"
    ):
        limited(RlooConfig, base, reward={"functions": [{"path": "a.py:f"}]}, rollout={"completions": 2})


def test_a_context_too_short_to_train_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the context of .*base is 8 tokens; at least 16 are needed"):
        limited(SftConfig, rotary(tmp_path / "base", 8))


def test_a_damaged_config_is_an_error(tmp_path: Path) -> None:
    base = rotary(tmp_path / "base", 64)
    (Path(base) / "config.json").write_text('{"model_type": "llama", "rope_parameters": 3, "torch_dtype": {}}')
    with pytest.raises(ModelError, match=r"base"):
        limited(SftConfig, base)


def test_a_loaded_model_bounds_what_it_scores_and_is_compared_on() -> None:
    said: list[str] = []
    config = t.LlamaConfig(**SMALL, max_position_embeddings=64)
    assert fitting(64, config, "max_tokens", said.append) == 64
    assert not said
    assert fitting(512, config, "max_tokens", said.append) == 64
    assert said == ["max_tokens is lowered from 512 to 64, the model's context (max_position_embeddings)"]
    assert fitting(512, t.BloomConfig(), "max_tokens", said.append) == 512
