"""Modules that are trained whole beside adapters: learned, kept apart from the base, saved, read back and merged."""

from pathlib import Path

import pytest
import torch
from tests.tiny import save_tiny, tiny_model
from torch import nn

from medicalgpt.config.loader import load as load_config
from medicalgpt.config.sections import LoraConfig, ModelConfig
from medicalgpt.config.stages import PpoConfig, SftConfig
from medicalgpt.errors import ConfigError, ModelError
from medicalgpt.memory.footprint import lora_targets, trained_weights
from medicalgpt.memory.setup import Setup
from medicalgpt.memory.shape import shape_of_config
from medicalgpt.models.adapter_config import write_base
from medicalgpt.models.adapters import adapter_off, attach, check_switchable, trainable
from medicalgpt.models.load import load
from medicalgpt.models.locate import locate
from medicalgpt.models.merge import merge_adapter

IDS = torch.randint(0, 100, (1, 9), generator=torch.Generator().manual_seed(0))
ENDS = ("embed_tokens", "lm_head")


def adapted(*names: str, tied: bool = True, **more: object) -> nn.Module:
    lora = LoraConfig(rank=4, modules_to_save=list(names), **more)  # type: ignore[arg-type]  # what a config file gives
    model = attach(tiny_model(tie_word_embeddings=tied), lora, None, quantized=False).eval()
    with torch.no_grad():
        for number, (_, weight) in enumerate(sorted(trainable(model).items())):
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)))
    return model


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(IDS).logits
    return found


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "names", [("embed_tokens",), ("lm_head",), ENDS, ("norm",), ("input_layernorm", "lm_head"), ("q_proj",), ("mlp",)]
)
def test_merged_and_switched_off(names: tuple[str, ...], tied: bool) -> None:
    model = adapted(*names, tied=tied)
    learned = logits(model)
    with adapter_off(model):
        torch.testing.assert_close(logits(model), logits(tiny_model(tie_word_embeddings=tied).eval()), atol=0, rtol=0)
    assert (learned - logits(tiny_model(tie_word_embeddings=tied).eval())).abs().max() > 0.01
    plain = merge_adapter(model)
    torch.testing.assert_close(logits(plain), learned, atol=1e-5, rtol=0)
    table, head = plain.get_input_embeddings(), plain.get_output_embeddings()  # type: ignore[operator]  # of transformers
    assert (table.weight is head.weight) == tied


def test_a_name_means_itself_and_not_every_name_that_ends_so() -> None:
    whole = [name for name in trainable(adapted("norm")) if ".lora_" not in name]
    assert whole == ["base_model.model.model.norm.modules_to_save.default.weight"]


@pytest.mark.parametrize("tied", [True, False])
def test_a_saved_one_reads_back(tied: bool, tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base", tie_word_embeddings=tied)
    model = adapted(*ENDS, tied=tied)
    model.save_pretrained(tmp_path / "adapter")  # type: ignore[operator]  # of peft
    write_base(tmp_path / "adapter", locate(str(base), None, False))
    found = load(ModelConfig(base=str(base), adapter=str(tmp_path / "adapter"), dtype="float32"))
    torch.testing.assert_close(logits(found.model.eval()), logits(model), atol=0, rtol=0)
    with pytest.raises(ModelError, match=r"changes weights of the base itself \(modules_to_save\)"):
        check_switchable(locate(str(tmp_path / "adapter"), None, False))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"names": ["score"]}, "no module is called score; this model has: down_proj, embed_tokens"),
        ({"names": ["rotary_emb"]}, "rotary_emb has no weights to train"),
        ({"names": ["layers"]}, "is a list of modules"),
    ],
)
def test_what_cannot_be_trained_whole_is_refused(more: dict[str, list[str]], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        adapted(*more["names"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lora.target_modules=[lm_head]", "lora.modules_to_save=[lm_head]"], "both name lm_head"),
        (["model.tokenizer=extended", "lora.modules_to_save=[lm_head]"], "trains the rows of its new tokens by itself"),
        (["lora.enabled=false", "lora.modules_to_save=[lm_head]"], "does nothing with lora.enabled=false"),
    ],
)
def test_contradictions_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(SftConfig, None, ["data.train=x.jsonl", "output_dir=run", *words])


def test_not_beside_a_critic() -> None:
    words = ["data.train=x.jsonl", "output_dir=run", "reward.model=rm", "lora.modules_to_save=[lm_head]"]
    with pytest.raises(ConfigError, match="policy and critic share"):
        load_config(PpoConfig, None, words)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("names", [("embed_tokens",), ("lm_head",), ("norm", "input_layernorm"), ("q_proj",), ("mlp",)])
def test_the_estimate_counts_them(names: tuple[str, ...], tied: bool) -> None:
    model = tiny_model(tie_word_embeddings=tied)
    shape, setup = shape_of_config(model.config), Setup(rank=4, whole=names)
    counted = trained_weights(shape, setup, lora_targets(shape, setup))
    assert sum(weight.size for weight in counted) == sum(
        p.numel() for p in trainable(adapted(*names, tied=tied)).values()
    )
