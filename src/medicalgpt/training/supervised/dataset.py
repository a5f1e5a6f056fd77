"""The run's plan as a dataset: item i is the batch of packed row i, built when it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from medicalgpt.models.policy import Batching
from medicalgpt.rendering.batch import TreeBatch, pack_trees, pad_trees
from medicalgpt.rendering.pack import best_fit, by_length
from medicalgpt.rendering.tree import TokenTree
from medicalgpt.training.supervised.reference_cache import ReferenceCache


@dataclass
class Trees(Sequence[TokenTree]):
    """Training trees and the chosen replay trees as one sequence."""

    parts: tuple[tuple[Sequence[TokenTree], np.ndarray], ...]

    def __len__(self) -> int:
        return sum(len(index) for _, index in self.parts)

    def __getitem__(self, i: int) -> TokenTree:  # type: ignore[override]
        for trees, index in self.parts:
            if i < len(index):
                return trees[int(index[i])]
            i -= len(index)
        raise IndexError(i)


class PlanDataset(Dataset[TreeBatch]):
    """Rows of tree indices as batches, with mismatched rows and cached reference log-probabilities when there are any."""

    def __init__(
        self,
        trees: Sequence[TokenTree],
        rows: Sequence[Sequence[int]],
        batching: Batching,
        filler: int,
        mismatched: Sequence[TokenTree] | None = None,
    ) -> None:
        self.trees, self.rows, self.batching, self.filler = trees, rows, batching, filler
        self.reference: ReferenceCache | None = None
        self.mismatched = PlanDataset(mismatched, rows, batching, filler) if mismatched is not None else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> TreeBatch:
        items = self.rows[i]
        build = pack_trees if self.batching == "tree" else pad_trees
        batch = build([self.trees[j] for j in items], items, self.filler)
        if self.reference is not None:
            batch.reference = torch.from_numpy(self.reference.take(items))
        if self.mismatched is not None:
            batch.mismatched = self.mismatched[i]
        return batch


def _only(batches: list[TreeBatch]) -> TreeBatch:
    return batches[0]


def loader(dataset: PlanDataset, rank: int, world: int) -> "DataLoader[TreeBatch]":
    """Every world-th batch, in plan order: step k takes the same rows whatever the number of processes."""
    return DataLoader(dataset, batch_size=1, sampler=range(rank, len(dataset), world), collate_fn=_only)


def held_out_rows(lengths: np.ndarray, capacity: int, batching: Batching, world: int) -> list[list[int]]:
    """Rows for evaluation: packed once, padded with empty rows to a multiple of the number of processes."""
    group = best_fit if batching == "tree" else by_length
    rows = group([int(n) for n in lengths], capacity)
    return rows + [[] for _ in range(-len(rows) % world)]
