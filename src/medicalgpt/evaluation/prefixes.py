"""Paths of token ids laid out as a prefix tree: what several of them begin with is computed once.

Worked examples are shared by all items of a subject, a question by all its answers and orders of options. The last token
of a path is only predicted, never read, so a letter costs nothing beside its prompt.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch

from medicalgpt.evaluation.continuations import Continuation
from medicalgpt.rendering.batch import Span, TreeBatch, without_targets

T = TypeVar("T")


@dataclass
class _Node:
    """Tokens that follow `parent`, and what follows them, by first token."""

    ids: np.ndarray
    parent: int
    children: dict[int, int] = field(default_factory=dict)


class PrefixTree:
    """Paths are added; those with a common beginning share it."""

    def __init__(self) -> None:
        self._nodes = [_Node(np.empty(0, np.int32), -1)]
        self.tokens = 0
        """Tokens of the tree: what a model computes."""

    def add(self, path: np.ndarray) -> None:
        """Put in a path of token ids."""
        at = 0
        while len(path):
            child = self._nodes[at].children.get(int(path[0]))
            if child is None:
                self._append(path, at)
                return
            shared = _shared(self._nodes[child].ids, path)
            if shared < len(self._nodes[child].ids):
                self._cut(child, shared)
            at, path = child, path[shared:]

    def _append(self, ids: np.ndarray, parent: int) -> None:
        self._nodes[parent].children[int(ids[0])] = len(self._nodes)
        self._nodes.append(_Node(ids, parent))
        self.tokens += len(ids)

    def _cut(self, number: int, at: int) -> None:
        """Keep the first `at` tokens in a node; the others, and what follows them, become its only child."""
        node, lower = self._nodes[number], len(self._nodes)
        self._nodes.append(_Node(node.ids[at:], number, node.children))
        for child in node.children.values():
            self._nodes[child].parent = lower
        node.children = {int(node.ids[at]): lower}
        node.ids = node.ids[:at]

    def laid_out(self) -> "Layout":
        """The tree as one row: every node behind its parent, in the order in which they were added."""
        order: list[int] = []
        waiting = [0]
        while waiting:
            number = waiting.pop()
            order.append(number)
            waiting.extend(reversed(self._nodes[number].children.values()))
        starts, depths = {0: 0}, {0: 0}
        spans, span_of = list[Span](), dict[int, int]()
        end = 0
        for number in order[1:]:
            node = self._nodes[number]
            starts[number], depths[number] = end, depths[node.parent] + len(self._nodes[node.parent].ids)
            above = () if node.parent == 0 else (*spans[span_of[node.parent]].ancestors, span_of[node.parent])
            span_of[number] = len(spans)
            end += len(node.ids)
            spans.append(Span(starts[number], end, above))
        ids = np.concatenate([self._nodes[n].ids for n in order])
        positions = np.concatenate([np.arange(depths[n], depths[n] + len(self._nodes[n].ids)) for n in order])
        return Layout(self._nodes, starts, ids, positions, spans)


@dataclass(frozen=True)
class Layout:
    """A prefix tree as a row: ids and positions [T], one span a node."""

    nodes: Sequence[_Node]
    starts: dict[int, int]
    ids: np.ndarray
    positions: np.ndarray
    spans: Sequence[Span]

    def places(self, path: np.ndarray) -> np.ndarray:
        """Where in the row the tokens of a path stand that was added."""
        at, found = 0, []
        while len(path):
            at = self.nodes[at].children[int(path[0])]
            size = min(len(self.nodes[at].ids), len(path))
            found.append(np.arange(self.starts[at], self.starts[at] + size))
            path = path[size:]
        return np.concatenate(found)


def _shared(a: np.ndarray, b: np.ndarray) -> int:
    """How many tokens two paths begin with in common."""
    size = min(len(a), len(b))
    differ = np.flatnonzero(a[:size] != b[:size])
    return int(differ[0]) if len(differ) else size


@dataclass(frozen=True)
class Asked:
    """A batch, and which log-probabilities of it are wanted: of `targets` [M] in state `states` [M] of the batch's `at`,
    in ascending order of states; `owner` [M] is the continuation that each belongs to."""

    batch: TreeBatch
    states: torch.Tensor
    targets: torch.Tensor
    owner: np.ndarray


def in_tree(paths: Sequence[Continuation]) -> Asked:
    """Continuations in one row, as a tree."""
    tree = PrefixTree()
    for path in paths:
        tree.add(path.ids[:-1])
    layout = tree.laid_out()
    places = [layout.places(path.ids[:-1])[path.start - 1 :] for path in paths]
    batch = without_targets(
        _rows(layout.ids[None]), _rows(layout.positions[None]), tuple(layout.spans), tokens=layout.ids.size
    )
    return _asked(batch, paths, places)


def in_rows(paths: Sequence[Continuation], pad: int) -> Asked:
    """The same for models that cannot compute trees: every distinct path has a padded row of its own."""
    distinct: dict[bytes, int] = {}
    row_of = [distinct.setdefault(path.ids[:-1].tobytes(), len(distinct)) for path in paths]
    width = max(len(path.ids) - 1 for path in paths)
    ids = np.full((len(distinct), width), pad, np.int64)
    mask = np.zeros((len(distinct), width), np.int64)
    for row, path in zip(row_of, paths):
        ids[row, : len(path.ids) - 1] = path.ids[:-1]
        mask[row, : len(path.ids) - 1] = 1
    places = [row * width + np.arange(p.start - 1, len(p.ids) - 1) for row, p in zip(row_of, paths)]
    positions = np.tile(np.arange(width), (len(distinct), 1))
    batch = without_targets(_rows(ids), _rows(positions), attention_mask=torch.from_numpy(mask), tokens=ids.size)
    return _asked(batch, paths, places)


def _rows(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).long()


def _asked(batch: TreeBatch, paths: Sequence[Continuation], places: Sequence[np.ndarray]) -> Asked:
    flat = np.concatenate(places)
    targets = np.concatenate([path.ids[path.start :] for path in paths])
    owner = np.repeat(np.arange(len(paths)), [len(place) for place in places])
    at, state = np.unique(flat, return_inverse=True)
    order = np.argsort(state, kind="stable")
    batch.at = torch.from_numpy(at).long()
    chosen = torch.from_numpy(targets[order]).long()
    return Asked(batch, torch.from_numpy(state[order]).long(), chosen, owner[order])


def bundles(groups: Iterable[tuple[T, Sequence[Continuation]]], capacity: int) -> Iterator[list[T]]:
    """Consecutive groups of continuations, each bundle closed as soon as its tree has `capacity` tokens."""
    tree, mine = PrefixTree(), list[T]()
    for name, paths in groups:
        for path in paths:
            tree.add(path.ids[:-1])
        mine.append(name)
        if tree.tokens >= capacity:
            yield mine
            tree, mine = PrefixTree(), []
    if mine:
        yield mine
