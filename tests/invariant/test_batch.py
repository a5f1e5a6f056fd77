"""Packed and padded batches of any trees carry the same facts."""

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medicalgpt.data.records import Source
from medicalgpt.kernels.attention import TreeLayout
from medicalgpt.models.policy import _path_lengths
from medicalgpt.objectives.base import RolloutTargets
from medicalgpt.rendering.batch import TreeBatch, pack_trees, pad_trees
from medicalgpt.rendering.tree import Segment, TokenTree

FILLER = 9_999


@st.composite
def trees(draw: Any) -> list[TokenTree]:
    """Trees in which every token is another number, so that a token names its place."""
    number, found = 0, []
    for i in range(draw(st.integers(1, 4))):
        segments: list[Segment] = []
        for s in range(draw(st.integers(1, 6))):
            length = draw(st.integers(1, 5))
            weights = np.asarray(draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=length, max_size=length)))
            if not s:
                weights[0] = 0.0
            parent = draw(st.integers(0, s - 1)) if s else -1
            segments.append(
                Segment(np.arange(number, number + length, dtype=np.int32), weights.astype(np.float32), parent)
            )
            number += length
        found.append(TokenTree(tuple(segments), Source("t", i)))
    return found


def facts(batch: TreeBatch) -> list[tuple[int, float, int, int]]:
    """(target, weight, segment, token before it) of every weighted position, in order."""
    before = batch.input_ids.reshape(-1)[batch.at]
    return list(zip(batch.targets.tolist(), batch.weights.tolist(), batch.segment.tolist(), before.tolist()))


@given(trees())
@settings(deadline=None)
def test_packed_and_padded_batches_list_the_same(rows: list[TokenTree]) -> None:
    packed, padded = pack_trees(rows), pad_trees(rows, pad=FILLER)
    assert facts(packed) == facts(padded)
    assert packed.leaves.tolist() == padded.leaves.tolist()
    assert (packed.segments, packed.tokens, packed.rows) == (padded.segments, padded.tokens, padded.rows)
    assert packed.tokens == sum(len(t) for t in rows)


@given(trees())
@settings(deadline=None)
def test_facts_are_those_of_the_trees(rows: list[TokenTree]) -> None:
    expected, number = [], 0
    for tree in rows:
        for i, segment in enumerate(tree.segments):
            path = tree.path(i)[0].tolist()
            for token, weight in zip(segment.ids.tolist(), segment.weights.tolist()):
                if weight:
                    expected.append((token, weight, number, path[path.index(token) - 1]))
            number += 1
    assert facts(pack_trees(rows)) == expected
    assert pack_trees(rows).segments == number


@given(trees())
@settings(deadline=None)
def test_a_packed_row_holds_every_token_once_and_sees_its_path_only(rows: list[TokenTree]) -> None:
    batch = pack_trees(rows)
    ids, positions = batch.input_ids[0].tolist(), batch.position_ids[0].tolist()
    assert sorted(ids) == list(range(batch.tokens))
    assert [s.start for s in batch.spans[1:]] == [s.end for s in batch.spans[:-1]]  # no gaps
    masks, number = TreeLayout(batch.spans, batch.position_ids).masks(None), 0
    for tree in rows:
        for i, segment in enumerate(tree.segments):
            path, span = tree.path(i)[0].tolist(), batch.spans[number]
            keys = [ids[t] for s in (*(batch.spans[a] for a in span.ancestors), span) for t in range(s.start, s.end)]
            assert keys == path
            assert positions[span.start : span.end] == list(range(len(path) - len(segment), len(path)))
            mask = masks[number]
            expected = torch.ones(len(segment), len(path), dtype=torch.bool).tril(len(path) - len(segment))
            assert (mask is None and not span.ancestors) or torch.equal(mask, expected)  # type: ignore[arg-type]
            number += 1


@given(trees(), st.integers(1, 6))
@settings(deadline=None)
def test_a_window_counts_along_the_path(rows: list[TokenTree], window: int) -> None:
    batch = pack_trees(rows)
    for span, mask in zip(batch.spans, TreeLayout(batch.spans, batch.position_ids).masks(window)):
        queries = batch.position_ids[0, span.start : span.end]
        keys = torch.arange(int(queries[-1]) + 1)  # along one path positions are 0, 1, 2, …
        gap = queries[:, None] - keys[None]
        expected = (gap >= 0) & (gap < window)
        assert torch.equal(expected if mask is None else mask, expected)
        assert mask is not None or torch.equal(expected, gap >= 0)


@given(trees())
@settings(deadline=None)
def test_a_padded_row_is_a_path_and_nothing_else(rows: list[TokenTree]) -> None:
    batch = pad_trees(rows, pad=FILLER)
    paths = [tree.path(leaf)[0].tolist() for tree in rows for leaf in tree.leaves]
    assert batch.input_ids.shape == (len(paths), max(map(len, paths)))
    for row, mask, path in zip(batch.input_ids.tolist(), batch.attention_mask.tolist(), paths):  # type: ignore[union-attr]
        assert row == path + [FILLER] * (len(row) - len(path))
        assert mask == [1] * len(path) + [0] * (len(row) - len(path))


@given(trees())
@settings(deadline=None)
def test_path_lengths_are_those_of_the_longest_path_through_a_token(rows: list[TokenTree]) -> None:
    batch = pack_trees(rows)
    longest: dict[int, int] = {}
    for tree in rows:
        for leaf in tree.leaves:
            path = tree.path(leaf)[0].tolist()
            for token in path:
                longest[token] = max(longest.get(token, 0), len(path))
    assert _path_lengths(batch)[0].tolist() == [longest[i] for i in batch.input_ids[0].tolist()]
    padded = pad_trees(rows)
    lengths = [len(tree.path(leaf)[0]) for tree in rows for leaf in tree.leaves]
    assert _path_lengths(padded)[:, 0].tolist() == lengths


def test_an_empty_row_carries_no_loss() -> None:
    for batch in (pack_trees([], filler=FILLER), pad_trees([], pad=FILLER)):
        assert batch.input_ids.tolist() == [[FILLER]]
        assert (len(batch.at), batch.tokens, batch.segments, batch.leaves.numel()) == (0, 0, 0, 0)
    assert pad_trees([]).spans == ()


def test_leaves_are_listed_only_where_all_trees_have_as_many() -> None:
    ids, weights = np.arange(2, dtype=np.int32), np.asarray([0, 1], np.float32)
    root = Segment(ids, weights)
    pair = TokenTree((root, Segment(ids, weights, 0), Segment(ids, weights, 0)), Source("t", 0))
    assert pack_trees([pair, pair]).leaves.tolist() == [[1, 2], [4, 5]]
    assert pack_trees([pair, TokenTree((root,), Source("t", 1))]).leaves.numel() == 0


def test_moving_a_batch_keeps_everything() -> None:
    root = Segment(np.arange(3, dtype=np.int32), np.asarray([0, 1, 1], np.float32))
    batch = pack_trees([TokenTree((root,), Source("t", 0))], items=(4,))
    batch.reference, batch.rollout = torch.ones(2), RolloutTargets(torch.zeros(2), returns=torch.ones(2))
    moved = batch.to("cpu")
    assert moved.items == (4,)
    assert facts(moved) == facts(batch)
    assert moved.reference.tolist() == moved.rollout.returns.tolist() == [1.0, 1.0]  # type: ignore[union-attr]
    assert (moved.rollout.old.tolist(), moved.rollout.advantages) == ([0.0, 0.0], None)  # type: ignore[union-attr]
    assert moved.spans == batch.spans
