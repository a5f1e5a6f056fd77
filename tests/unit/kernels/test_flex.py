"""Block masks built from segments say what the rule says of every pair of tokens, in memory that does not grow with T²."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tests.marks import quick_and_slow
from torch.nn.attention.flex_attention import flex_attention
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from medicalgpt.data.records import Source
from medicalgpt.kernels.flex import BLOCK, block_mask, soft_cap
from medicalgpt.rendering.batch import Span, TreeBatch, pack_trees
from medicalgpt.rendering.tree import Segment, TokenTree


def row(shape: Sequence[Sequence[tuple[int, int]]]) -> TreeBatch:
    """A packed row of trees, each a list of (tokens, parent)."""
    trees = [
        TokenTree(
            tuple(Segment(np.zeros(n, np.int32), np.full(n, float(p >= 0), np.float32), p) for n, p in tree),
            Source("row", i),
        )
        for i, tree in enumerate(shape)
    ]
    return pack_trees(trees, range(len(trees)))


ROWS = {
    "chains": [[(300, -1)], [(1, -1)], [(256, -1)]],
    "pairs": [[(200, -1), (130, 0), (57, 0)], [(40, -1), (300, 0), (5, 0)]],
    "deep": [[(129, -1), (127, 0), (3, 1), (260, 1), (64, 0)]],
    "whole blocks": [[(256, -1), (256, 0), (128, 0)]],
}


def dense_rule(spans: Sequence[Span], positions: torch.Tensor, window: int | None) -> torch.Tensor:
    """What every token [queries, keys] sees, asked one segment at a time."""
    out = torch.zeros(len(positions), len(positions), dtype=torch.bool)
    for i, span in enumerate(spans):
        for j in (*span.ancestors, i):
            other = spans[j]
            distance = positions[span.start : span.end, None] - positions[None, other.start : other.end]
            out[span.start : span.end, other.start : other.end] = (distance >= 0) & (
                distance < (window or len(positions))
            )
    return out


def tables(mask: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Blocks [queries, keys] that are looked into, and those that are not because all is seen."""

    def dense(count: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        table = torch.zeros(which.shape[-2:], dtype=torch.bool)
        for q in range(len(table)):
            table[q, which[0, 0, q, : count[0, 0, q]].long()] = True
        return table

    return dense(mask.kv_num_blocks, mask.kv_indices), dense(mask.full_kv_num_blocks, mask.full_kv_indices)


@pytest.mark.parametrize("window", [None, 1, 100, 128, 400])
@pytest.mark.parametrize("name", ROWS)
def test_blocks_are_those_of_the_dense_rule(name: str, window: int | None) -> None:
    batch = row(ROWS[name])
    positions = batch.position_ids[0]
    mask: Any = block_mask(batch.spans, positions, window)
    part, whole = tables(mask)
    wanted = dense_rule(batch.spans, positions, window)
    padded = torch.zeros(len(part) * BLOCK, len(part) * BLOCK, dtype=torch.bool)
    padded[: len(wanted), : len(wanted)] = wanted
    cells = padded.view(len(part), BLOCK, len(part), BLOCK).sum((1, 3))
    assert torch.equal(whole, cells == BLOCK * BLOCK)
    assert torch.equal(part, (cells > 0) & ~whole), "a block that nobody sees would be computed for nothing"
    i = torch.arange(len(positions))
    assert torch.equal(mask.mask_mod(i * 0, i * 0, i[:, None], i[None]), wanted)


def test_some_block_is_whole() -> None:
    batch = row(ROWS["whole blocks"])
    mask: Any = block_mask(batch.spans, batch.position_ids[0], None)
    # One of the prompt's second block, five of the first branch's two, two of the second branch.
    assert int(tables(mask)[1].sum()) == 1 + 5 + 2


class Largest(TorchDispatchMode):
    """Notes the elements of the largest tensor that anything makes."""

    most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.most = max([self.most, *(t.numel() for t in tree_leaves(out) if isinstance(t, torch.Tensor))])
        return out


def test_memory_does_not_grow_with_the_square_of_the_tokens() -> None:
    found = []
    for tokens in (8192, 16384):
        batch = row([[(2048, -1), (1024, 0), (1024, 0)]] * (tokens // 4096))
        with Largest() as largest:
            block_mask(batch.spans, batch.position_ids[0], 512)
        found.append(largest.most)
    # A table of blocks, which is 128² times smaller than one of tokens; at these lengths no longer than the row itself.
    assert found == [8192, (16384 // BLOCK) * (16384 // BLOCK + 1)]


@pytest.mark.parametrize("cap", quick_and_slow([], [5.0]))
def test_capped_scores_compile(cap: float) -> None:
    torch.manual_seed(0)
    q = torch.randn(1, 4, 100, 16)
    attend: Any = torch.compile(flex_attention, dynamic=True)
    with torch.no_grad():
        found = attend(q, q, q, score_mod=soft_cap(cap, q.device), scale=0.25)
    wanted = torch.softmax(torch.tanh((q @ q.transpose(-1, -2)) * 0.25 / cap) * cap, -1) @ q
    assert float((found - wanted).abs().max()) < 1e-5
