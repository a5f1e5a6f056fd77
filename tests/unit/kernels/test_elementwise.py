"""Fused rotary, RMSNorm and SwiGLU: on one model only, in the number types they were checked in, and off again."""

import copy
import sys
from typing import Any

import pytest
import torch
from tests.tiny import tiny_model

from medicalgpt.kernels import elementwise, rotary
from medicalgpt.kernels.elementwise import fused_elementwise, restore_elementwise, use_fused_elementwise

IDS = torch.arange(3, 15)[None]


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits  # type: ignore[no-any-return]


def attributes(model: Any) -> dict[str, set[str]]:
    return {name: set(vars(module)) for name, module in model.named_modules()}


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3"])
def test_another_model_of_the_family_is_not_touched(kind: str) -> None:
    model, other = tiny_model(kind), tiny_model(kind)
    family: Any = sys.modules[type(model).__module__]
    function, before, plain = family.apply_rotary_pos_emb, attributes(other), logits(other)
    assert "rotary" in use_fused_elementwise(model)
    assert family.apply_rotary_pos_emb is function
    assert attributes(other) == before
    assert torch.equal(logits(other), plain)


def test_everything_comes_off_again() -> None:
    model = tiny_model()
    before, plain = attributes(model), logits(model)
    with fused_elementwise(model) as done:
        assert done == ["rotary", "rmsnorm", "swiglu"]
        assert attributes(model) != before
        torch.testing.assert_close(logits(model), plain, rtol=1e-4, atol=1e-4)
    assert attributes(model) == before
    assert torch.equal(logits(model), plain)
    restore_elementwise(model)
    assert attributes(model) == before


def test_a_forward_that_somebody_else_put_on_a_module_comes_back() -> None:
    model: Any = tiny_model()
    norm = model.model.norm
    own = norm.forward
    norm.forward = lambda x: own(x)
    mine = norm.forward
    with fused_elementwise(model):
        assert norm.forward is not mine
    assert norm.forward is mine


def test_asked_twice_it_stays_the_same() -> None:
    model = tiny_model()
    first = use_fused_elementwise(model)
    fused = logits(model)
    assert use_fused_elementwise(model) == first
    assert torch.equal(logits(model), fused)
    with torch.autocast("cpu", torch.bfloat16):
        assert logits(model).isfinite().all()  # a replacement of a replacement would call itself without end


def test_a_copy_runs_its_own_weights() -> None:
    model: Any = tiny_model()
    use_fused_elementwise(model)
    other = copy.deepcopy(model)
    fused = logits(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(logits(other), fused)


def test_a_number_type_in_which_it_differs_runs_the_familys_own_function() -> None:
    """As a kernel would be that is right in fp32 and rounds otherwise in bf16."""
    calls: list[torch.dtype] = []

    def theirs(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, unsqueeze_dim: int = 1) -> Any:
        calls.append(q.dtype)
        out = rotary.rotary(q, k, cos, sin, unsqueeze_dim)
        return out if q.dtype == torch.float32 else tuple(x * 1.1 for x in out)

    chosen = rotary._checked(theirs, torch.device("cpu"))
    assert chosen is not None
    calls.clear()
    for dtype, expected in ((torch.float32, 0), (torch.bfloat16, 1), (torch.float64, 1)):
        q, k = torch.randn(1, 2, 3, 8, dtype=dtype), torch.randn(1, 1, 3, 8, dtype=dtype)
        angle = torch.randn(1, 3, 4).repeat(1, 1, 2).to(dtype)
        chosen(q, k, angle.cos(), angle.sin())
        assert calls == [dtype] * expected, dtype
        calls.clear()


def test_a_function_that_is_another_in_fp32_is_left_alone() -> None:
    def theirs(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, unsqueeze_dim: int = 1) -> Any:
        return rotary.rotary(q, k, sin, cos, unsqueeze_dim)

    assert rotary._checked(theirs, torch.device("cpu")) is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_within_rounding_of_the_plain_model(dtype: torch.dtype) -> None:
    """Under autocast, as training with 16 bits runs: losses and gradients against the model without replacements."""

    def step(model: Any) -> list[torch.Tensor]:
        with torch.autocast("cpu", dtype):
            loss = model(input_ids=IDS, labels=IDS, use_cache=False).loss
        loss.backward()
        return [loss.detach(), *(p.grad for p in model.parameters())]

    plain, fused = tiny_model(), tiny_model()
    assert use_fused_elementwise(fused)
    for a, b in zip(step(fused), step(plain)):
        scale = float(b.abs().max())
        assert float((a - b).abs().max()) <= 8 * torch.finfo(dtype).eps * scale + 1e-6


def test_swiglu_that_differs_in_a_type_runs_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(elementwise._swiglu_agrees("cpu", t) for t in (torch.float32, torch.bfloat16, torch.float16))
    model = tiny_model()
    use_fused_elementwise(model)
    plain = logits(tiny_model())
    monkeypatch.setattr(elementwise, "_swiglu_agrees", lambda device, dtype: False)
    monkeypatch.setattr(elementwise._SwiGlu, "apply", lambda *_: pytest.fail("unchecked type"))
    torch.testing.assert_close(logits(model), plain, rtol=1e-4, atol=1e-4)
