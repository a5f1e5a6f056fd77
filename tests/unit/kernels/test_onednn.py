"""Packed copies of weights: the same products, for as long as they are wanted."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.tiny import tiny_model
from tests.zoo import zoo_model

from medicalgpt.errors import ModelError
from medicalgpt.kernels import onednn as module
from medicalgpt.kernels.onednn import keep_onednn_weights, onednn_weights
from medicalgpt.models.causal_lm import output_head
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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_number_types_are_left_alone(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    with onednn_weights(tiny_model().to(dtype)) as layers:
        assert layers == 0
    assert keep_onednn_weights(tiny_model().to(dtype)) == 0


@pytest.mark.skipif(not module._multiplies_bfloat16(), reason="oneDNN has no bfloat16 on this processor")
@torch.no_grad()
def test_adapters_in_float32_on_weights_in_bfloat16() -> None:
    model = adapted()
    for name, own in model.named_parameters():
        if "lora_" not in name:
            own.data = own.data.bfloat16()
    exact = adapted().double()
    for name, own in exact.named_parameters():
        own.data = model.get_parameter(name).detach().double()
    expected = exact(input_ids=IDS).logits
    off = 2 * (model(input_ids=IDS).logits.double() - expected).abs().max()
    with onednn_weights(model):
        assert (model(input_ids=IDS).logits.double() - expected).abs().max() <= off
    keep_onednn_weights(model)
    assert (model(input_ids=IDS).logits.double() - expected).abs().max() <= off
    layer = model.get_base_model().model.layers[0].self_attn.q_proj
    assert layer.base_layer.weight.layout != torch.strided


@pytest.mark.skipif(not module._multiplies_bfloat16(), reason="oneDNN has no bfloat16 on this processor")
@torch.no_grad()
def test_bfloat16_where_the_processor_has_it() -> None:
    model = tiny_model().bfloat16()
    exact = tiny_model().bfloat16().double()(input_ids=IDS).logits
    off = 2 * (model(input_ids=IDS).logits.double() - exact).abs().max() + 1e-9
    with onednn_weights(model) as layers:
        assert layers == 2 * 7 + 1
        assert (model(input_ids=IDS).logits.double() - exact).abs().max() <= off
    assert keep_onednn_weights(model) == 2 * 7 + 1
    assert model(input_ids=IDS).logits.dtype == torch.bfloat16
    assert (model(input_ids=IDS).logits.double() - exact).abs().max() <= off


def test_forwards_come_back_after_an_error() -> None:
    model = adapted()
    own = forwards(model)
    with pytest.raises(IndexError), onednn_weights(model):
        model(input_ids=torch.tensor([[99999]]))
    assert forwards(model) == own


def plain_bytes(model: torch.nn.Module) -> int:
    """Of weights in torch's own layout."""
    return sum(p.nbytes for p in model.parameters() if p.layout == torch.strided)


@pytest.mark.parametrize("make", [adapted, tiny_model, lambda: tiny_model("gemma3")], ids=["lora", "llama", "gemma3"])
@torch.no_grad()
def test_weights_laid_out_for_good_answer_alike_and_leave_no_copy(make: Any) -> None:
    model = make()
    before, plain = model(input_ids=IDS).logits, plain_bytes(model)
    layers = [m for m in model.modules() if type(m) is torch.nn.Linear and not hasattr(m, "lora_A")]
    head = output_head(model.get_base_model() if hasattr(model, "get_base_model") else model)
    large = [m for m in layers if m.in_features > 4 and m.out_features > 4 and m is not head]  # no part of an adapter
    moved = sum(m.weight.nbytes for m in large)
    assert keep_onednn_weights(model, head) == len(large) + 1
    assert plain_bytes(model) == plain - moved
    torch.testing.assert_close(model(input_ids=IDS).logits, before, rtol=1e-4, atol=1e-3)
    assert all(m.weight.layout == torch.strided for m in model.modules() if isinstance(m, torch.nn.Embedding))


@torch.no_grad()
def test_weights_laid_out_for_good_have_their_numbers_still() -> None:
    model = tiny_model()
    weight = model.model.layers[0].mlp.up_proj.weight.clone()
    keep_onednn_weights(model)
    kept = model.model.layers[0].mlp.up_proj.weight
    assert kept.shape == weight.shape
    assert torch.equal(kept.to_dense(), weight)


@torch.no_grad()
def test_a_head_that_has_no_room_for_a_copy_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    before = model(input_ids=IDS).logits
    monkeypatch.setattr(module, "free_main_memory", lambda: 0)
    assert keep_onednn_weights(model, output_head(model)) == 2 * 7
    torch.testing.assert_close(model(input_ids=IDS).logits, before, rtol=1e-4, atol=1e-3)


def test_a_model_laid_out_for_good_cannot_be_trained_without_a_word() -> None:
    model = tiny_model()
    keep_onednn_weights(model)
    with pytest.raises(ModelError, match="open it without, to train it"):
        model(input_ids=IDS)


def dora() -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], use_dora=True, init_lora_weights=False)
    return get_peft_model(tiny_model(), config).eval()


def longcat() -> Any:
    return zoo_model("longcat_flash")


@pytest.mark.parametrize("make", [dora, longcat])
@torch.no_grad()
def test_weights_that_other_code_reads_stay_where_they_are(make: Callable[[], Any]) -> None:
    """DoRA takes norms of W + s·B·A; the router of LongCat-Flash multiplies with its classifier's weight by itself."""
    model = make()
    before = model(input_ids=IDS).logits
    assert keep_onednn_weights(model) > 0
    torch.testing.assert_close(model(input_ids=IDS).logits, before, rtol=1e-4, atol=1e-3)
    assert any(p.layout != torch.strided for p in model.parameters())
