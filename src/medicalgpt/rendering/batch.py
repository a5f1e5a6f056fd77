"""One batch form for every objective: packed trees, or padded paths for models without tree attention.

Both forms carry the same facts: which hidden state predicts which token with which weight, and to which segment that
token belongs. Losses therefore cannot depend on the form.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from medicalgpt.objectives.base import RolloutTargets
from medicalgpt.rendering.tree import TokenTree


@dataclass(frozen=True)
class Span:
    """Tokens start:end of the packed row, and the numbers of the spans they may look back on (root first)."""

    start: int
    end: int
    ancestors: tuple[int, ...] = ()


@dataclass
class TreeBatch:
    """A batch for one forward pass; implements `objectives.base.Batch`.

    Shapes: input_ids, position_ids [B, T]; `at`, `targets`, `weights`, `segment` [N], where `at` indexes the flattened
    [B*T] hidden states. `leaves` [S, k] holds segment numbers of each tree's leaves where every tree has k of them.
    `ends` [leaves] indexes the hidden state of each leaf's last weighted token (its stop token), tree by tree.
    `desirable` [S] holds the verdicts of feedback trees; `mismatched` their prompts with the answers to others, one tree
    for each (`rendering.kto_pairs`).
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    at: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    segment: torch.Tensor
    segments: int
    leaves: torch.Tensor
    ends: torch.Tensor
    tokens: int
    rows: tuple[str, ...] = ()
    items: tuple[int, ...] = ()
    spans: tuple[Span, ...] = ()
    attention_mask: torch.Tensor | None = None
    desirable: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))
    mismatched: "TreeBatch | None" = None
    reference: torch.Tensor | None = None
    baseline: torch.Tensor | None = None
    rollout: RolloutTargets | None = None

    def to(self, device: torch.device | str, **_: object) -> "TreeBatch":
        """The same batch with its tensors on `device`."""
        moved: dict[str, Any] = {
            k: v.to(device) if isinstance(v, torch.Tensor | TreeBatch) else v for k, v in self.__dict__.items()
        }
        moved["rollout"] = None if self.rollout is None else self.rollout.map(lambda values: values.to(device))
        return TreeBatch(**moved)


class _Facts:
    """Collects the per-token facts while a batch is laid out."""

    def __init__(self) -> None:
        self.at: list[np.ndarray] = []
        self.targets: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []
        self.segment: list[np.ndarray] = []

    def add(self, ids: np.ndarray, weights: np.ndarray, before: np.ndarray, segment: int) -> None:
        """Record the weighted tokens of a segment; `before[i]` is the flat index of the token that predicts ids[i]."""
        keep = np.flatnonzero(weights > 0)
        self.at.append(before[keep])
        self.targets.append(ids[keep])
        self.weights.append(weights[keep])
        self.segment.append(np.full(len(keep), segment))

    def tensors(self) -> dict[str, Any]:
        def cat(parts: list[np.ndarray], dtype: torch.dtype) -> torch.Tensor:
            return torch.from_numpy(np.concatenate(parts) if parts else np.empty(0)).to(dtype)

        segment = cat(self.segment, torch.long)
        order = torch.argsort(segment, stable=True)  # padded paths visit segments in another order than packed trees
        return {
            "at": cat(self.at, torch.long)[order],
            "targets": cat(self.targets, torch.long)[order],
            "weights": cat(self.weights, torch.float32)[order],
            "segment": segment[order],
        }


def _leaves(trees: Sequence[TokenTree]) -> torch.Tensor:
    """Global segment numbers of the leaves, [trees, k]; empty when trees differ in their number of leaves."""
    first, found = 0, []
    for tree in trees:
        found.append([first + leaf for leaf in tree.leaves])
        first += len(tree.segments)
    same = len({len(f) for f in found}) == 1
    return torch.tensor(found if same else [], dtype=torch.long)


def _verdicts(trees: Sequence[TokenTree]) -> torch.Tensor:
    """Verdicts of the trees that have one, [S]."""
    return torch.tensor([t.desirable for t in trees if t.desirable is not None], dtype=torch.bool)


def _end(weights: np.ndarray) -> int:
    """Place of a leaf's last weighted token; of its last token where none is weighted."""
    found = np.flatnonzero(weights > 0)
    return int(found[-1]) if len(found) else len(weights) - 1


def pack_trees(trees: Sequence[TokenTree], items: Sequence[int] = (), filler: int = 0) -> TreeBatch:
    """Lay trees end to end in one row. An empty list gives a one-token row (`filler`) that carries no loss."""
    if not trees:
        return _empty(filler)
    ids, positions, spans, facts = [], [], [], _Facts()
    ends: list[int] = []
    offset = first = 0
    for tree in trees:
        places: list[tuple[int, int]] = []
        for s, start in zip(tree.segments, tree.starts):
            place = (offset, offset + len(s))
            last = places[s.parent][1] - 1 if s.parent >= 0 else -1
            before = np.concatenate([[last], np.arange(place[0], place[1] - 1)])
            facts.add(s.ids, s.weights, before, first + len(places))
            ids.append(s.ids)
            positions.append(np.arange(start, start + len(s)))
            spans.append(Span(*place, tuple(first + a for a in _lineage(tree, s.parent))))
            places.append(place)
            offset = place[1]
        ends += [places[leaf][0] + _end(tree.segments[leaf].weights) for leaf in tree.leaves]
        first += len(tree.segments)
    return TreeBatch(
        input_ids=torch.from_numpy(np.concatenate(ids)).long()[None],
        position_ids=torch.from_numpy(np.concatenate(positions)).long()[None],
        segments=first,
        leaves=_leaves(trees),
        ends=torch.tensor(ends),
        desirable=_verdicts(trees),
        tokens=offset,
        rows=tuple(str(t.source) for t in trees),
        items=tuple(items),
        spans=tuple(spans),
        **facts.tensors(),
    )


def _lineage(tree: TokenTree, number: int) -> list[int]:
    """Segment numbers from the root to `number`."""
    found: list[int] = []
    while number >= 0:
        found.insert(0, number)
        number = tree.segments[number].parent
    return found


def pad_trees(trees: Sequence[TokenTree], items: Sequence[int] = (), pad: int = 0) -> TreeBatch:
    """Give every root-to-leaf path a row of its own, padded on the right; shared tokens are counted once."""
    if not trees:
        empty = _empty(pad)
        empty.attention_mask, empty.spans = torch.ones(1, 1, dtype=torch.long), ()
        return empty
    paths = [(tree, leaf) for tree in trees for leaf in tree.leaves]
    width = max(len(tree.path(leaf)[0]) for tree, leaf in paths)
    ids = np.full((len(paths), width), pad, np.int64)
    mask = np.zeros((len(paths), width), np.int64)
    facts, row, first = _Facts(), 0, 0
    ends: list[int] = []
    for tree in trees:
        counted: set[int] = set()
        for leaf in tree.leaves:
            for number in _lineage(tree, leaf):
                s, start = tree.segments[number], tree.starts[number]
                ids[row, start : start + len(s)] = s.ids
                mask[row, start : start + len(s)] = 1
                if number not in counted:
                    facts.add(s.ids, s.weights, row * width + np.arange(start - 1, start + len(s) - 1), first + number)
                    counted.add(number)
            ends.append(row * width + tree.starts[leaf] + _end(tree.segments[leaf].weights))
            row += 1
        first += len(tree.segments)
    return TreeBatch(
        input_ids=torch.from_numpy(ids),
        position_ids=torch.arange(width).expand(len(paths), width).contiguous(),
        segments=first,
        leaves=_leaves(trees),
        ends=torch.tensor(ends),
        desirable=_verdicts(trees),
        tokens=sum(len(t) for t in trees),
        rows=tuple(str(t.source) for t in trees),
        items=tuple(items),
        attention_mask=torch.from_numpy(mask),
        **facts.tensors(),
    )


def _empty(filler: int) -> TreeBatch:
    return without_targets(torch.full((1, 1), filler), torch.zeros(1, 1, dtype=torch.long), (Span(0, 1),))


def without_targets(
    input_ids: torch.Tensor,
    position_ids: torch.Tensor,
    spans: tuple[Span, ...] = (),
    attention_mask: torch.Tensor | None = None,
    tokens: int = 0,
) -> TreeBatch:
    """Input [B, T] that carries no loss: packed trees with their spans, or padded rows with their mask."""
    none = torch.empty(0, dtype=torch.long)
    return TreeBatch(
        input_ids=input_ids,
        position_ids=position_ids,
        at=none,
        targets=none,
        weights=torch.empty(0),
        segment=none,
        segments=0,
        leaves=none,
        ends=none,
        tokens=tokens,
        spans=spans,
        attention_mask=attention_mask,
    )
