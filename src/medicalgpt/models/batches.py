"""Token trees laid out in batches for one pass of a model."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from medicalgpt.models.policy import Batching
from medicalgpt.rendering.batch import TreeBatch, pack_trees, pad_trees
from medicalgpt.rendering.pack import best_fit, by_length
from medicalgpt.rendering.tree import TokenTree


def costs(trees: Sequence[TokenTree], batching: Batching) -> np.ndarray:
    """Tokens that each tree takes in a batch: its own for packing, leaves × longest path for padding."""
    tree = batching == "tree"
    return np.fromiter((len(t) if tree else len(t.leaves) * t.longest_path for t in trees), np.int64, len(trees))


def row_costs(trees: Sequence[TokenTree], others: Sequence[TokenTree] | None, batching: Batching) -> np.ndarray:
    """As `costs`; with a second tree for each, the longer one counts, so that the rows of both passes fit."""
    return costs(trees, batching) if others is None else np.maximum(costs(trees, batching), costs(others, batching))


def batches(
    trees: Sequence[TokenTree],
    batching: Batching,
    capacity: int,
    filler: int = 0,
    device: torch.device | str = "cpu",
    items: Sequence[int] | None = None,
) -> Iterator[TreeBatch]:
    """All trees (or those numbered `items`), a row of at most `capacity` tokens at a time; `batch.items` names them."""
    chosen = range(len(trees)) if items is None else items
    if not len(chosen):
        return
    lengths = [int(n) for n in costs([trees[i] for i in chosen], batching)]
    packed = batching == "tree"
    group, build = (best_fit, pack_trees) if packed else (by_length, pad_trees)
    for row in group(lengths, max(capacity, *lengths)):
        mine = [chosen[i] for i in row]
        yield build([trees[i] for i in mine], mine, filler).to(device)
