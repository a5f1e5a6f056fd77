"""Token trees for tests, and the plainest way to run them: each branch alone, full logits, no packing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from medicalgpt.data.records import Source
from medicalgpt.rendering.tree import Segment, TokenTree

Shape = Sequence[tuple[int, int]]  # (tokens, parent) of each segment, parents first

CHAIN: Shape = ((8, -1),)
PAIR: Shape = ((9, -1), (5, 0), (7, 0))
SHORT_ROOT_PAIR: Shape = ((1, -1), (4, 0), (1, 0))
THREE_LEVELS: Shape = ((6, -1), (3, 0), (4, 0), (2, 1), (5, 1), (1, 2))


def grow(shape: Shape, vocabulary: int, seed: int = 0) -> TokenTree:
    """A tree of random tokens; about two thirds of them, on every level, carry a weight of 1 or 0.5."""
    rng = np.random.default_rng([seed, *(n for n, _ in shape)])
    segments = []
    for length, parent in shape:
        weights = rng.choice([0.0, 0.5, 1.0], length).astype(np.float32)
        weights[-1] = 1.0
        if parent < 0:
            weights[0] = 0.0
        segments.append(Segment(rng.integers(0, vocabulary, length).astype(np.int32), weights, parent))
    return TokenTree(tuple(segments), Source("trees", seed))


def grow_pair(prompt: int, chosen: int, rejected: int, vocabulary: int, seed: int = 0) -> TokenTree:
    """A preference: nothing of the prompt is trained, all of both answers is."""
    rng = np.random.default_rng([seed, prompt, chosen, rejected])

    def segment(length: int, parent: int) -> Segment:
        ids = rng.integers(0, vocabulary, length).astype(np.int32)
        return Segment(ids, np.full(length, float(parent >= 0), np.float32), parent)

    return TokenTree((segment(prompt, -1), segment(chosen, 0), segment(rejected, 0)), Source("pairs", seed))


def logps_alone(model: Any, trees: Sequence[TokenTree]) -> tuple[torch.Tensor, torch.Tensor]:
    """log p and weight of every weighted token, tree by tree and segment by segment; one forward pass per branch."""
    logps, weights = [], []
    for tree in trees:
        found: dict[int, torch.Tensor] = {}
        for leaf in tree.leaves:
            ids = torch.from_numpy(tree.path(leaf)[0]).long()
            scores = torch.log_softmax(model(input_ids=ids[None], use_cache=False).logits[0].float(), -1)
            number = leaf
            while number >= 0:
                segment, start = tree.segments[number], tree.starts[number]
                kept = torch.from_numpy(np.flatnonzero(segment.weights > 0)) + start
                found.setdefault(number, scores[kept - 1, ids[kept]])  # a shared segment counts once
                number = segment.parent
        logps += [found[i] for i in range(len(tree.segments))]
        weights += [torch.from_numpy(s.weights[s.weights > 0]) for s in tree.segments]
    return torch.cat(logps), torch.cat(weights)


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """Gradient of `loss` with respect to every trainable parameter."""
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(named.items(), found)}


def assert_same_gradients(
    found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], tolerance: float = 1e-4
) -> None:
    """Every gradient agrees to within `tolerance` of the largest; and there is something to agree on."""
    assert found.keys() == wanted.keys()
    largest = max(float(g.abs().max()) for g in wanted.values())
    assert largest > 1e-3
    for name, gradient in wanted.items():
        gap = float((found[name] - gradient).abs().max())
        assert gap <= tolerance * largest, f"{name}: {gap:.2g} of {largest:.2g}"
