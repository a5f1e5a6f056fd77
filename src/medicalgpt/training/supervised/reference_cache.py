"""Reference log-probabilities computed once before training and kept on disk, keyed by content."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from medicalgpt.disk.failures import LARGER_CACHE, writing
from medicalgpt.disk.private import private_files
from medicalgpt.disk.scratch import scratch
from medicalgpt.models.policy import Batching, CausalPolicy
from medicalgpt.models.shard import runs_on
from medicalgpt.rendering.batch import pack_trees, pad_trees
from medicalgpt.rendering.tree import TokenTree
from medicalgpt.training.together import gathered


class ReferenceCache:
    """log π_ref of every weighted token of every tree, in the order batches list them."""

    def __init__(self, values: np.ndarray, ends: np.ndarray) -> None:
        self.values, self.ends = values, ends

    def take(self, items: Sequence[int]) -> np.ndarray:
        """Values of several trees, concatenated [N]."""
        starts = np.concatenate([[0], self.ends])
        parts = [self.values[starts[i] : self.ends[i]] for i in items]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    @classmethod
    def load(cls, path: Path) -> "ReferenceCache":
        with np.load(path) as data:
            return cls(data["values"], data["ends"])

    @private_files()
    def save(self, path: Path) -> None:
        """Write the cache under its name in one step. Raises RunError where it cannot be written."""
        needs = self.values.nbytes + self.ends.nbytes
        with writing("the reference cache", path.parent, needs, LARGER_CACHE):
            path.parent.mkdir(parents=True, exist_ok=True)
            with scratch(path.parent, ".save-") as temp:
                np.savez(temp / path.name, values=self.values, ends=self.ends)
                (temp / path.name).replace(path)


@torch.no_grad()
def compute(
    policy: CausalPolicy,
    trees: Sequence[TokenTree],
    rows: Sequence[Sequence[int]],
    batching: Batching,
    filler: int,
) -> ReferenceCache:
    """Run the reference over all trees: every process over its `rows`, whose results they exchange."""
    training = policy.training
    policy.eval()
    device = runs_on(policy)
    build = pack_trees if batching == "tree" else pad_trees
    found: dict[int, np.ndarray] = {}
    for items in rows:
        batch = build([trees[i] for i in items], items, filler).to(device)
        values = policy.logps(batch)[0].float().cpu().numpy()
        sizes = [trees[i].trained for i in items]
        found |= dict(zip(items, np.split(values, np.cumsum(sizes)[:-1])))
    policy.train(training)
    found = {k: v for part in gathered(found) for k, v in part.items()}
    ordered = [found[i] for i in range(len(trees))]
    return ReferenceCache(
        np.concatenate(ordered) if ordered else np.empty(0, np.float32), np.cumsum([len(v) for v in ordered])
    )
