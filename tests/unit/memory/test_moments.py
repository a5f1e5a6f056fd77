"""What an optimizer holds, byte for byte, and what a step of it makes besides."""

import pytest
import torch
import transformers
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.loader import load
from medicalgpt.config.optimizers import Optimizer
from medicalgpt.config.sections import LoraConfig
from medicalgpt.config.stages import SftConfig
from medicalgpt.errors import ModelError
from medicalgpt.memory.footprint import estimate, lora_targets, trained_weights
from medicalgpt.memory.moments import Weight, state_bytes, step_bytes
from medicalgpt.memory.setup import Setup
from medicalgpt.memory.shape import ModelShape, shape_of_config
from medicalgpt.models.adapters import attach, trainable
from medicalgpt.training.optimizers import Group, optimizer_of, token_weights

HERE: tuple[Optimizer, ...] = ("adamw", "adamw_8bit", "adafactor", "muon", "galore")  # the paged one needs a GPU


RANK = {"galore": ("train.galore_rank=24",)}


def config(tied: bool = True) -> transformers.Qwen2Config:
    return transformers.Qwen2Config(
        vocab_size=400,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
    )


def held(name: str, method: str, tied: bool, dtype: torch.dtype) -> int:
    """Bytes of an optimizer's tensors after a step, without step counts and the table that all 8-bit moments share."""
    model = transformers.AutoModelForCausalLM.from_config(config(tied)).to(dtype)
    if method == "lora":
        model = attach(
            model, LoraConfig(rank=64, target_modules=["q_proj", "down_proj", "lm_head"]), None, quantized=False
        )
    settings = load(
        SftConfig, None, ["data.train=x.jsonl", "output_dir=run", f"train.optimizer={name}", *RANK.get(name, ())]
    ).value
    named = trainable(model)
    optimizer = optimizer_of(settings, [Group(named, 1e-3, 0.0)], token_weights(model))
    for weight in named.values():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    found = (item for entry in optimizer.state.values() for item in entry.items())
    aside = ("step", "qmap1", "qmap2", "RMS")
    return sum(value.nbytes for key, value in found if isinstance(value, torch.Tensor) and key not in aside)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize(
    ("method", "tied", "dtype"),
    [("full", True, "float32"), ("full", False, "bfloat16"), ("lora", False, "float32")],
)
def test_state_is_what_the_optimizer_holds(name: Optimizer, method: str, tied: bool, dtype: str) -> None:
    shape = shape_of_config(config(tied))
    targets = ("q_proj", "down_proj", "lm_head")
    setup = Setup(
        method=method, dtype=dtype, compute=dtype, rank=64, target_modules=targets, optimizer=name, galore_rank=24
    )  # type: ignore[arg-type]  # a parameter of the test
    weights = trained_weights(shape, setup, () if method == "full" else lora_targets(shape, setup))
    size = 2 if dtype == "bfloat16" else 4
    assert state_bytes(name, weights, size, setup.galore_rank) == held(name, method, tied, getattr(torch, dtype))


def test_by_hand() -> None:
    weights = (Weight((100, 200)), Weight((300, 100), tokens=True), Weight((50,)))
    assert state_bytes("adamw", weights, 4) == 8 * (20_000 + 30_000 + 50)
    assert state_bytes("adamw_8bit", weights, 4) == 2 * (20_000 + 4 * 79) + 8 * (30_000 + 50)
    assert state_bytes("adafactor", weights, 2) == 4 * (300 + 400 + 50)
    assert state_bytes("muon", weights, 2) == 2 * 20_000 + 4 * (30_000 + 50)
    assert state_bytes("galore", weights, 2, 40) == 2 * 40 * (2 * 200 + 100) + 4 * (30_000 + 50)
    assert state_bytes("galore", weights, 2, 100) == state_bytes("adamw", weights, 2)
    assert step_bytes("galore", weights, 40) == 6 * 4 * 20_000
    assert step_bytes("adamw", weights) == step_bytes("paged_adamw_8bit", weights) == 0
    assert step_bytes("muon", weights) == 3 * 4 * 20_000
    assert step_bytes("adafactor", weights) == 2 * 4 * 30_000


def test_an_unknown_or_divided_one_is_refused() -> None:
    with pytest.raises(ModelError, match="optimizer 'sgd' is unknown; allowed: adamw"):
        Setup(optimizer="sgd")  # type: ignore[arg-type]  # what a user might pass
    with pytest.raises(ModelError, match="with shards=2 it is adamw"):
        Setup(optimizer="muon", processes=2, shards=2)


def test_a_step_counts_only_beyond_the_room_of_activations(small: ModelShape) -> None:
    short, long = (estimate(small, Setup("full", tokens, optimizer="adafactor")) for tokens in (1, 4096))
    weights = trained_weights(small, short.setup, ())
    state, step = state_bytes("adafactor", weights, 4), step_bytes("adafactor", weights)
    assert short.optimizer == state + step - short.activations - short.head > state
    assert long.optimizer == state


@pytest.fixture
def small() -> ModelShape:
    return shape_of_config(config())


def test_the_command_line_names_it() -> None:
    words = ["estimate", "--params", "7B", "--method", "full", "--device", "cuda", "--dtype", "bfloat16"]
    plain, eight, factored = (
        CliRunner().invoke(app, [*words, "--optimizer", name]).stdout for name in ("adamw", "adamw_8bit", "adafactor")
    )
    assert "  optimizer         27.0 GB" in plain
    assert "gradient checkpointing off, adamw_8bit" in eight
    assert "  optimizer         14.2 GB" in eight
    assert "  optimizer         0.01 GB" in factored
