"""Several adapters on one base: each gives peft's own numbers, and only the active one learns."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.tiny import tiny_model
from tests.trees import assert_same_gradients

from medicalgpt.kernels.lora import fuse_lora
from medicalgpt.models.adapters import adapter_off, adapter_on

# Another rank, other layers and rsLoRA's scale: what a reward model's adapter may bring.
OTHERS = {
    "critic": LoraConfig(r=4, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
    "reward": LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "down_proj"], use_rslora=True),
}
NAMES = ("default", *OTHERS)


def shared(kind: str, fused: bool) -> Any:
    model = get_peft_model(tiny_model(kind), OTHERS["critic"])
    for name, config in OTHERS.items():
        model.add_adapter(name, config)
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.1)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name and ".reward." not in name)
    if fused:
        assert fuse_lora(model) > 0
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    ids = torch.arange(3, 15)[None]
    return model(input_ids=ids, use_cache=False).logits  # type: ignore[no-any-return]


def slopes(model: Any) -> dict[str, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    logits(model).square().mean().backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("active", NAMES)
def test_every_adapter_gives_what_peft_gives(kind: str, active: str) -> None:
    ours, theirs = shared(kind, fused=True), shared(kind, fused=False)
    theirs.set_adapter(active)
    with adapter_on(ours, active):
        torch.testing.assert_close(logits(ours), logits(theirs), rtol=1e-5, atol=1e-5)
    with adapter_off(ours), theirs.disable_adapter():
        torch.testing.assert_close(logits(ours), logits(theirs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("active", ["default", "critic"])
def test_gradients_are_those_of_peft_and_reach_the_active_adapter_only(active: str) -> None:
    ours, theirs = shared("llama", fused=True), shared("llama", fused=False)
    theirs.set_adapter(active)
    with adapter_on(ours, active):
        found = slopes(ours)
    assert_same_gradients(found, slopes(theirs))
    assert all(f".{active}." in name for name in found)
    assert len(found) == 28  # A and B of seven layers in each of two blocks


def test_what_is_trained_stays_trained_inside_and_outside_of_a_role() -> None:
    model = shared("llama", fused=True)
    flags = {n: p.requires_grad for n, p in model.named_parameters()}
    assert any(flags.values())
    assert not all(flags.values())

    def same() -> None:
        assert {n: p.requires_grad for n, p in model.named_parameters()} == flags

    with adapter_on(model, "critic"):
        assert model.active_adapter == "critic"
        same()
        with adapter_on(model, "critic"):  # a critic's own forward pass inside its update
            same()
        assert model.active_adapter == "critic"
    assert model.active_adapter == "default"
    same()
    with pytest.raises(RuntimeError, match="inside"), adapter_on(model, "reward"):
        raise RuntimeError("inside")
    assert model.active_adapter == "default"
    same()
    with adapter_off(model):
        pass
    same()
