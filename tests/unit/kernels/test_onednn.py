"""Packed copies of weights: the same products, for as long as they are wanted."""

from typing import Any

import pytest
import torch
from tests.tiny import tiny_model

from medicalgpt.kernels import onednn as module
from medicalgpt.kernels.onednn import onednn_weights
from medicalgpt.models.optimize import optimize_for_training

IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11]])


def adapted() -> Any:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    return get_peft_model(
        tiny_model("qwen2"), LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    ).eval()


def forwards(model: torch.nn.Module) -> dict[str, Any]:
    return {name: vars(m).get("forward") for name, m in model.named_modules()}


@pytest.mark.parametrize("tuned", [False, True])
@torch.no_grad()
def test_the_same_logits_and_everything_as_before_afterwards(tuned: bool) -> None:
    model = adapted()
    if tuned:
        optimize_for_training(model)
    before, own = model(input_ids=IDS).logits, forwards(model)
    with onednn_weights(model) as layers:
        assert layers == 2 * 7 + 1  # seven in each of two layers, and the head
        torch.testing.assert_close(model(input_ids=IDS).logits, before, rtol=1e-4, atol=1e-3)
        weight = model.get_base_model().model.layers[0].mlp.up_proj.weight
        weight.data.add_(1)  # copies are in use, not the weights
        torch.testing.assert_close(model(input_ids=IDS).logits, before, rtol=1e-4, atol=1e-3)
        weight.data.sub_(1)
    assert forwards(model) == own
    torch.testing.assert_close(model(input_ids=IDS).logits, before)


def test_nothing_is_copied_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted()
    monkeypatch.setattr(module, "free_main_memory", lambda: 100_000)
    with onednn_weights(model) as layers:
        assert layers == 0


def test_other_number_types_are_left_alone() -> None:
    with onednn_weights(tiny_model().bfloat16()) as layers:
        assert layers == 0


def test_forwards_come_back_after_an_error() -> None:
    model = adapted()
    own = forwards(model)
    with pytest.raises(IndexError), onednn_weights(model):
        model(input_ids=torch.tensor([[99999]]))
    assert forwards(model) == own
