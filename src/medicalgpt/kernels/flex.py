"""What FlexAttention is told of a packed row: which blocks of it see which, and how scores are capped.

`create_block_mask` asks about every pair of tokens, T² of them (704 MiB for 8,192 tokens). The segments of a tree are known, and
so are their positions, which count up by one; a pair of segments is answered by its corners. The table left over is of
blocks of 128 × 128 tokens, as FlexAttention keeps it anyway.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

import torch

from medicalgpt.rendering.batch import Span

BLOCK: Final = 128  # FlexAttention's own default

MaskRule = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
ScoreRule = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def block_mask(spans: Sequence[Span], positions: torch.Tensor, window: int | None) -> object:
    """FlexAttention's block mask of a row in which a token sees its ancestors and itself, at most `window` - 1 tokens back.

    Args:
        spans: the row's segments, covering it without gaps.
        positions: [T] along the path; within a segment they count up by one.
    """
    from torch.nn.attention.flex_attention import BlockMask

    device, length = positions.device, len(positions)
    seen, whole = _blocks(spans, positions[[s.start for s in spans]].tolist(), length, window)
    part = seen & ~whole
    return BlockMask.from_kv_blocks(
        *_listed(part, device),
        *_listed(whole, device),
        BLOCK_SIZE=BLOCK,
        mask_mod=_rule(spans, positions, window),
        seq_lengths=(length, length),
    )


def _blocks(
    spans: Sequence[Span], first: Sequence[int], length: int, window: int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """For each pair of blocks [queries, keys] whether any token sees any, and whether every one sees every one.

    `first` holds the position of each segment's first token. Distances between two runs of positions that count up by one are
    all the numbers between the least and the largest, so the corners decide.
    """
    count = -(-length // BLOCK)
    seen = torch.zeros(count, count, dtype=torch.bool)
    pairs = torch.zeros(count, count, dtype=torch.int32)
    for number, span in enumerate(spans):
        rows = _cut(span, first[number])
        for other in (*span.ancestors, number):
            columns = _cut(spans[other], first[other])
            least = rows[1][:, None] - columns[2][None]
            most = rows[2][:, None] - columns[1][None]
            some, every = most >= 0, least >= 0
            if window is not None:
                some, every = some & (least < window), every & (most < window)
            area = (rows[2] - rows[1] + 1)[:, None] * (columns[2] - columns[1] + 1)[None]
            where = (slice(*rows[0]), slice(*columns[0]))
            seen[where] |= some
            pairs[where] += torch.where(every, area, 0).to(torch.int32)
    return seen, pairs == BLOCK * BLOCK


def _cut(span: Span, position: int) -> tuple[tuple[int, int], torch.Tensor, torch.Tensor]:
    """The blocks that a segment lies in (from, to), and the positions of its first and last token in each of them."""
    begin, end = span.start // BLOCK, -(-span.end // BLOCK)
    edges = torch.arange(begin, end + 1) * BLOCK
    edges = edges.clamp(span.start, span.end) + (position - span.start)
    return (begin, end), edges[:-1], edges[1:] - 1


def _listed(table: torch.Tensor, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Of a table [queries, keys] how many keys each row has, and which, those first: [1, 1, queries] and [1, 1, queries, keys]."""
    order = torch.argsort(table.to(torch.uint8), dim=1, descending=True, stable=True)
    return table.sum(1, dtype=torch.int32)[None, None].to(device), order.to(torch.int32)[None, None].to(device)


def _rule(spans: Sequence[Span], positions: torch.Tensor, window: int | None) -> MaskRule:
    """Whether a token sees another, for the blocks in which not every one does."""
    device = positions.device
    sizes = torch.tensor([s.end - s.start for s in spans])
    owner = torch.repeat_interleave(torch.arange(len(spans)), sizes).to(device)
    sees = torch.eye(len(spans), dtype=torch.bool)
    for i, span in enumerate(spans):
        sees[i, list(span.ancestors)] = True
    sees = sees.to(device)

    def visible(b: torch.Tensor, h: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        distance = positions[q] - positions[k]
        seen = sees[owner[q], owner[k]] & (distance >= 0)
        return seen if window is None else seen & (distance < window)

    return visible


@cache
def soft_cap(cap: float, device: torch.device) -> ScoreRule:
    """Scores squeezed by tanh into ±`cap`. The limit is a tensor: a captured Python float does not compile (torch 2.13)."""
    limit = torch.tensor(cap, device=device)

    def capped(score: torch.Tensor, b: torch.Tensor, h: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        return torch.tanh(score / limit) * limit

    return capped
