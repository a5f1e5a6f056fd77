"""Stretched positions are those of transformers, and no row's numbers depend on what lies beside it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny import save_tiny, tiny_config, tiny_model
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from medicalgpt.config.loader import load as load_config
from medicalgpt.config.sections import LoraConfig, ModelConfig
from medicalgpt.config.stages import GrpoConfig, SftConfig
from medicalgpt.data.records import Source
from medicalgpt.errors import ConfigError, ModelError, ServeError
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest, on_vllm
from medicalgpt.kernels import attention
from medicalgpt.models import rope
from medicalgpt.models.adapter_config import write_base
from medicalgpt.models.adapters import attach, check_switchable
from medicalgpt.models.context import context_of, within_context
from medicalgpt.models.load import load
from medicalgpt.models.locate import locate
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.rendering.batch import pack_trees, pad_trees
from medicalgpt.rendering.tree import Segment, TokenTree

YARN = rope.RopeScaling(type="yarn", factor=4)
LINEAR = rope.RopeScaling(type="linear", factor=4)
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [2.0, 4.0, 8.0, 16.0],
    "original_max_position_embeddings": 16,
    "factor": 4.0,
}


def row(length: int, seed: int) -> TokenTree:
    rng = np.random.default_rng(seed)
    ids, weights = rng.integers(0, 300, length).astype(np.int32), np.ones(length, np.float32)
    weights[0] = 0.0
    return TokenTree((Segment(ids, weights, -1),), Source("row", seed))


def alone(model: nn.Module, tree: TokenTree) -> torch.Tensor:
    """Log-probabilities of a row's tokens by the model's own forward pass."""
    ids = torch.tensor(tree.segments[0].ids, dtype=torch.long)[None]
    with torch.no_grad():
        logps = model(ids, attention_mask=torch.ones_like(ids)).logits.log_softmax(-1)
    return logps[0, :-1].gather(1, ids[0, 1:, None])[:, 0]


def together(model: nn.Module, trees: list[TokenTree], packed: bool) -> list[torch.Tensor]:
    """The same of several rows in one batch."""
    with torch.no_grad():
        policy = CausalPolicy(model, "tree" if packed else "padded")
        found = policy.logps((pack_trees if packed else pad_trees)(trees))[0]
    return list(found.split([len(tree.segments[0].ids) - 1 for tree in trees]))


def opened(folder: Path, scaling: rope.RopeScaling | None = None) -> nn.Module:
    asked = {} if scaling is None else {"rope_scaling": scaling.type, "rope_factor": scaling.factor}
    return load(ModelConfig(base=str(folder), dtype="float32", **asked)).model.eval()  # type: ignore[arg-type]  # as from a file


@pytest.mark.parametrize("packed", [True, False])
def test_behind_its_limit_longrope_looks_at_the_neighbours(packed: bool) -> None:
    """Which is why the limit is the context: up to it a row is the same alone and beside others."""
    model = tiny_model(rope_parameters=LONGROPE, max_position_embeddings=64).eval()
    short, long, other = row(8, 0), row(40, 1), row(16, 2)
    wanted = [alone(model, tree) for tree in (short, other)]
    attention.enable(model)
    beside = together(model, [short, long], packed)[0]
    assert (beside - wanted[0]).abs().max() > 0.01
    assert context_of(model.config) == 16
    for found, want in zip(together(model, [short, other], packed), wanted):
        torch.testing.assert_close(found, want, atol=2e-5, rtol=0)


def test_the_limit_is_said(tmp_path: Path) -> None:
    save_tiny(tmp_path, rope_parameters=LONGROPE, max_position_embeddings=64)
    limit, source = within_context(64, locate(str(tmp_path), None, False), "tiny", "data.max_tokens")
    assert limit == 16
    assert "positions (longrope) depend on the longest row of a batch" in source


@pytest.mark.parametrize("scaling", [YARN, LINEAR])
def test_scaled_positions_are_those_of_transformers(scaling: rope.RopeScaling, tmp_path: Path) -> None:
    save_tiny(tmp_path / "base", max_position_embeddings=32)
    written = {"rope_type": scaling.type, "rope_theta": 10_000.0, "factor": 4.0}
    written |= {"original_max_position_embeddings": 32} if scaling.type == "yarn" else {}
    config = tiny_config(max_position_embeddings=128, rope_parameters=written)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "base", config=config, dtype=torch.float32).eval()
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32).eval()
    trees = [row(12, 0), row(100, 1), row(33, 2)]
    wanted = [alone(theirs, tree) for tree in trees]
    assert (wanted[1] - alone(plain, trees[1])).abs().max() > 0.01
    model = opened(tmp_path / "base", scaling)
    assert context_of(model.config) == 128
    for packed in (True, False):
        for found, want in zip(together(model, trees, packed), wanted):
            torch.testing.assert_close(found, want, atol=5e-5, rtol=0)
    model.save_pretrained(tmp_path / "saved")  # type: ignore[operator]  # of transformers
    again = AutoConfig.from_pretrained(tmp_path / "saved")
    assert {key: again.rope_parameters[key] for key in written} == written
    assert again.max_position_embeddings == 128


def test_an_adapter_brings_its_scaling(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base", max_position_embeddings=32)
    stretched = opened(base, YARN)
    attach(stretched, LoraConfig(rank=2), None, quantized=False).save_pretrained(tmp_path / "adapter")  # type: ignore[operator]  # of peft
    write_base(tmp_path / "adapter", locate(str(base), None, False))
    rope.write_scaling(tmp_path / "adapter", YARN)
    assert json.loads((tmp_path / "adapter" / rope.FILE).read_text()) == {"type": "yarn", "factor": 4.0}
    tree = row(100, 1)
    found = opened(tmp_path / "adapter")
    torch.testing.assert_close(alone(found, tree), alone(opened(base, YARN), tree), atol=1e-5, rtol=0)
    assert (alone(found, tree) - alone(opened(base), tree)).abs().max() > 0.01
    adapter = locate(str(tmp_path / "adapter"), None, False)
    assert within_context(1024, adapter, "adapter", "data.max_tokens")[0] == 128
    with pytest.raises(ModelError, match=r"the adapter was trained with yarn × 4"):
        opened(tmp_path / "adapter", LINEAR)
    with pytest.raises(ModelError, match=r"rope_scaling\.json"):
        check_switchable(adapter)
    (tmp_path / "adapter" / rope.FILE).write_text('{"type": "yarn"}')
    with pytest.raises(ModelError, match="holds no scaling of positions"):
        rope.scaling_of(adapter)


def test_answering_takes_it_and_says_who_cannot(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base", max_position_embeddings=32)
    engine = Engine.open(base, dtype="float32", rope_scaling="yarn", rope_factor=4)
    assert engine.context == 128
    assert engine.origin["rope"] == {"type": "yarn", "factor": 4.0}
    assert "rope" not in Engine.open(base, dtype="float32").origin
    asked = ModelRequest.of(str(base), ModelOptions(rope_scaling="yarn", rope_factor=4), print)
    with pytest.raises(ServeError, match="backend=vllm is not told"):
        on_vllm(asked)
    with pytest.raises(ServeError, match="rope_scaling cannot be given with a GGUF file"):
        Engine.open(gguf(tmp_path / "a.gguf"), rope_scaling="yarn", rope_factor=4)


def gguf(path: Path) -> Path:
    """What is taken for a file of llama.cpp before it is read."""
    path.write_bytes(b"GGUF" + bytes(60))
    return path


@pytest.mark.parametrize(
    ("kind", "extra", "said"),
    [
        ("bloom", {}, "no rotary positions of one kind"),
        ("gemma3", {}, "no rotary positions of one kind"),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, r"rope_type=linear"),
    ],
)
def test_what_cannot_be_stretched_is_refused(kind: str, extra: dict[str, object], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        rope.stretch(tiny_config(kind, **extra), YARN, "tiny")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.rope_scaling=dynamic", "model.rope_factor=2"], "beside a longer one; use yarn or linear"),
        (["model.rope_scaling=yarn", "model.rope_factor=1"], "allowed: number or null > 1"),
        (["model.rope_scaling=yarn"], "belong together"),
        (["model.rope_factor=2"], "belong together"),
    ],
)
def test_bad_values_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(SftConfig, None, ["data.train=x.jsonl", "output_dir=run", *words])


def test_rollouts_take_a_merged_model() -> None:
    words = ["data.train=x.jsonl", "output_dir=run", "reward.functions=[{name: exact}]", "rollout.completions=2"]
    with pytest.raises(ConfigError, match="give that run's merged model"):
        load_config(GrpoConfig, None, [*words, "model.rope_scaling=yarn", "model.rope_factor=2"])
