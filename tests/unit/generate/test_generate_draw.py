"""Drawing among the likeliest tokens gives what drawing from the whole vocabulary gives."""

import pytest
import torch
from transformers import TopKLogitsWarper, TopPLogitsWarper

from medicalgpt.generate.backends.decoder import draw


def whole(logits: torch.Tensor, uniform: torch.Tensor, top_k: int, top_p: float) -> list[int]:
    """By transformers' warpers over the sorted vocabulary."""
    if top_k:
        logits = TopKLogitsWarper(top_k)(torch.empty(0), logits)
    if top_p < 1:
        logits = TopPLogitsWarper(top_p)(torch.empty(0), logits)
    return draw.invert(torch.softmax(logits.double(), -1), uniform)[:, 0].tolist()


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (0, 0.9), (0, 0.3), (7, 1.0), (50, 0.8), (1, 1.0), (9999, 0.7)])
@pytest.mark.parametrize(
    "spread", [0.05, 2.0, 12.0]
)  # from nearly even, where no few tokens suffice, to nearly certain
def test_the_shortcut_gives_the_same_tokens(
    top_k: int, top_p: float, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw, "_CANDIDATES", (32, 300))
    generator = torch.Generator().manual_seed(top_k)
    logits = torch.randn(400, 1000, generator=generator) * spread
    uniform = torch.rand(400, 1, generator=generator, dtype=torch.float64)
    assert draw.sample(logits.clone(), uniform, top_k, top_p) == whole(logits, uniform, top_k, top_p)


def test_equals_at_the_edge_of_top_k_are_all_kept() -> None:
    logits = torch.tensor([[3.0, 1.0, 1.0, 1.0, 0.0]]).expand(200, 5).contiguous()
    uniform = torch.linspace(0, 0.999, 200, dtype=torch.float64)[:, None]
    found = draw.sample(logits.clone(), uniform, 2, 1.0)
    assert set(found) == {0, 1, 2, 3}
    assert found == whole(logits, uniform, 2, 1.0)


def test_ordinary_rows_need_no_sorting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "_warped", None)
    logits = torch.randn(8, 20_000, generator=torch.Generator().manual_seed(0)) * 4
    uniform = torch.full((8, 1), 0.5, dtype=torch.float64)
    assert len(draw.sample(logits, uniform, 0, 0.9)) == len(draw.sample(logits, uniform, 40, 0.9)) == 8
