"""Products by oneDNN: those of float64 up to rounding, for every layout, and torch's own wherever they are not for it."""

import os
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch

from medicalgpt.kernels import products
from medicalgpt.kernels.products import quick_products

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
SIZES = ((256, 129, 300), (2050, 8, 130), (33, 1000, 129), (9, 600, 700))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, ...]]]:
    """As on a machine where MKL is slow; the sizes of products that went to oneDNN."""
    found: list[tuple[int, ...]] = []
    product = products.product

    def noted(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        found.append((*a.shape, b.shape[1]))
        return product(a, b, bias)

    monkeypatch.setattr(products, "_mkl_is_slow", lambda: True)
    monkeypatch.setattr(products, "product", noted)
    yield found
    assert not products._open, "torch's own kernels are back"


def laid_out(rows: int, columns: int, way: str) -> torch.Tensor:
    if way == "by columns":
        return torch.randn(columns, rows).t()
    return torch.randn(rows, columns + 5)[:, :columns] if way == "a part" else torch.randn(rows, columns)


def close(found: torch.Tensor, wanted: torch.Tensor, inner: int) -> bool:
    """Sums of `inner` products of normal numbers, each rounded: the error grows with their number at most."""
    return float((found.double() - wanted).abs().max()) < 8 * inner * torch.finfo(torch.float32).eps * 5


@pytest.mark.parametrize("right", ["by rows", "by columns", "a part"])
@pytest.mark.parametrize("left", ["by rows", "by columns", "a part"])
def test_every_layout_gives_the_product(left: str, right: str, asked: list[tuple[int, ...]]) -> None:
    torch.manual_seed(0)
    for n, k, m in SIZES:
        a, b, row, whole = laid_out(n, k, left), laid_out(k, m, right), torch.randn(m), torch.randn(n, m)
        wanted = a.double() @ b.double()
        with quick_products():
            assert close(a @ b, wanted, k)
            assert close(torch.addmm(row, a, b), wanted + row, k)
            assert close(torch.nn.functional.linear(a, b.t(), row), wanted + row, k)
            assert close(whole.clone().addmm_(a, b), wanted + whole, k)
    assert len(asked) == 4 * len(SIZES)


@pytest.mark.parametrize("gaps", ["every second", "a column", "one number"])
def test_a_bias_with_gaps_is_for_torchs_own(gaps: str, asked: list[tuple[int, ...]]) -> None:
    a, b, one = torch.randn(256, 129), torch.randn(129, 300), torch.full((1,), 3.0)
    bias = {"every second": torch.randn(600)[::2], "a column": torch.randn(300, 5)[:, 2], "one number": one.expand(300)}
    wanted = bias[gaps].double() + a.double() @ b.double()
    with quick_products():
        assert close(torch.addmm(bias[gaps], a, b), wanted, 129)
        assert close(torch.nn.functional.linear(a, b.t(), bias[gaps]), wanted, 129)
    assert not asked


def test_few_kinds_of_products_are_kept_ready(asked: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with quick_products():
        assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == os.environ["LRU_CACHE_CAPACITY"] == "128"
    assert not asked


def test_a_sum_is_added_to_in_parts(asked: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_AT_ONCE", 300 * 100)
    a, b, c = torch.randn(256, 129), torch.randn(129, 300), torch.randn(256, 300)
    wanted = c.double() + a.double() @ b.double()
    with quick_products():
        assert close(c.addmm_(a, b), wanted, 129)
    assert [size[0] for size in asked] == [100, 100, 56]


def test_gradients_go_the_same_way(asked: list[tuple[int, ...]]) -> None:
    layer, x = torch.nn.Linear(300, 200), torch.randn(3, 90, 300, requires_grad=True)
    upstream = torch.randn(3, 90, 200)
    grads = []
    for block in (nullcontext(), quick_products()):
        layer.zero_grad()
        x.grad = None
        with block:
            layer(x).backward(upstream)
        assert x.grad is not None
        grads.append([x.grad, *(weight.grad for weight in layer.parameters())])
    assert sorted(asked) == [(200, 270, 300), (270, 200, 300), (270, 300, 200)], "forward, and both ways back"
    for plain, quick in zip(*grads):
        assert plain is not None
        assert quick is not None
        assert close(quick, plain.double(), 300)


def test_other_products_are_torchs_own(asked: list[tuple[int, ...]]) -> None:
    large = torch.randn(300, 300)
    others = [
        (large.double(), large.double()),
        (large.bfloat16(), large.bfloat16()),
        (torch.randn(8, 8), torch.randn(8, 8)),  # too small
        (torch.randn(1, 300).expand(300, 300), large),  # rows that lie on each other
        (torch.randn(300, 600)[:, ::2], large),  # numbers that are no neighbors
    ]
    plain = [a @ b for a, b in others]
    scaled = torch.addmm(large, large, large, beta=0.5, alpha=2)
    with quick_products():
        assert all(torch.equal(a @ b, wanted) for (a, b), wanted in zip(others, plain))
        assert torch.equal(torch.addmm(large, large, large, beta=0.5, alpha=2), scaled)
        with pytest.raises(RuntimeError, match="cannot be multiplied"):
            large @ torch.randn(299, 300)
        with pytest.raises(RuntimeError, match="must match"):
            torch.addmm(torch.randn(7), large, large)
    assert not asked


def test_blocks_may_lie_within_each_other(asked: list[tuple[int, ...]]) -> None:
    a = torch.randn(300, 300)
    with quick_products():
        with quick_products():
            a @ a
        a @ a
    a @ a
    assert len(asked) == 2


def test_nothing_changes_where_mkl_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_vendor", lambda: "vendor_id : GenuineIntel")
    with quick_products():
        assert not products._open
