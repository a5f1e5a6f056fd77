"""What a run on fixed rows will see, laid out before it begins, and the data set that builds each batch when it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from medicalgpt.checkpoints.checkpoint import Header
from medicalgpt.config.base import StageConfig, SupervisedConfig
from medicalgpt.disk.arrays import spare
from medicalgpt.errors import ConfigError
from medicalgpt.models.batches import row_costs
from medicalgpt.models.policy import Batching
from medicalgpt.rendering.batch import TreeBatch, pack_trees, pad_trees
from medicalgpt.rendering.build import Prepared, replay_choice
from medicalgpt.rendering.kto_pairs import Mismatched, mismatch, mismatch_held_out
from medicalgpt.rendering.pack import RunPlan, best_fit, by_length, plan_run
from medicalgpt.rendering.store import TreeStore
from medicalgpt.rendering.tree import TokenTree
from medicalgpt.training.stages import objective_of
from medicalgpt.training.supervised.reference_cache import ReferenceCache


@dataclass
class Trees(Sequence[TokenTree]):
    """Training trees and the chosen replay trees as one sequence."""

    parts: tuple[tuple[TreeStore, np.ndarray | range], ...]

    def __len__(self) -> int:
        return sum(len(index) for _, index in self.parts)

    def __getitem__(self, i: int) -> TokenTree:  # type: ignore[override]
        for trees, index in self.parts:
            if i < len(index):
                return trees[int(index[i])]
            i -= len(index)
        raise IndexError(i)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each."""
        found, at = spare(len(self), np.int64, self.parts[0][0].folder), 0
        for store, index in self.parts:
            found[at : at + len(index)] = store.lengths if isinstance(index, range) else store.lengths[index]
            at += len(index)
        return found


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


def loader(dataset: PlanDataset, number: int, groups: int) -> "DataLoader[TreeBatch]":
    """Every groups-th batch, in plan order: step k takes the same rows whatever the number of processes."""
    return DataLoader(dataset, batch_size=1, sampler=range(number, len(dataset), groups), collate_fn=_only)


def held_out_rows(lengths: np.ndarray, capacity: int, batching: Batching, groups: int) -> list[list[int]]:
    """Rows for evaluation: packed once, padded with empty rows to a multiple of the number of groups that share them out."""
    group = best_fit if batching == "tree" else by_length
    rows = group([int(n) for n in lengths], capacity)
    return rows + [[] for _ in range(-len(rows) % groups)]


@dataclass
class Plan:
    """What the run will see."""

    train: PlanDataset
    held_out: PlanDataset | None
    run: RunPlan
    padding: float
    capacity: int


def make_plan(
    config: SupervisedConfig,
    prepared: Prepared,
    batching: Batching,
    filler: int,
    groups: int,
    stretched: Sequence[tuple[int, float]] = (),
    earlier: Header | None = None,
) -> Plan:
    """Choose replay, pack everything and lay out the steps; `stretched` as `plan_run` takes it.

    Args:
        groups: of processes that work at a row together (`distributed.sequence`); usually each is one process.
        earlier: of the checkpoint that the run goes on from, whose plan it keeps.

    Raises:
        ConfigError: the plan's rows of a step cannot be shared out among this number of processes.
    """
    t = config.train
    parts: list[tuple[TreeStore, np.ndarray | range]] = [(prepared.train, range(len(prepared.train)))]
    if prepared.replay is not None:
        parts.append(
            (prepared.replay, replay_choice(prepared.train, prepared.replay, config.data.replay_share, t.seed))
        )
    trees = Trees(tuple(parts))
    others = partners(config, prepared)
    own = trees.lengths
    lengths = own if batching == "tree" and others[0] is None else row_costs(trees, others[0], batching)
    capacity = config.row_tokens
    rows_per_step = _rows_per_step(t.tokens_per_step, capacity, groups)
    if earlier is not None:
        rows_per_step = earlier.rows_per_step or _rows_per_step(t.tokens_per_step, capacity, earlier.world_size)
        if rows_per_step % groups:
            each = config.distributed.sequence
            fitting = ", ".join(str(n * each) for n in range(1, rows_per_step + 1) if rows_per_step % n == 0)
            raise ConfigError(
                f"this run takes {rows_per_step} rows a step, which {groups * each} processes cannot share; go on with {fitting} "
                f"processes (it was saved by {earlier.world_size}), or start over in another output_dir"
            )
    padded, folder = batching == "padded", prepared.train.folder
    run = plan_run(lengths, capacity, rows_per_step, t.epochs, t.max_steps, t.seed, padded, stretched, folder)
    held_out = None
    if prepared.held_out is not None and len(prepared.held_out):
        lengths = row_costs(prepared.held_out, others[1], batching)
        rows = held_out_rows(lengths, capacity, batching, groups)
        held_out = PlanDataset(prepared.held_out, rows, batching, filler, others[1])
    train = PlanDataset(trees, run.rows, batching, filler, others[0])
    return Plan(train, held_out, run, run.padding_fraction(own, capacity), capacity)


def _rows_per_step(tokens: int, capacity: int, groups: int) -> int:
    """Rows of `capacity` tokens behind a step of about `tokens`, a multiple of the number of groups."""
    rows = max(1, round(tokens / capacity))
    return rows if rows % groups == 0 else max(groups, round(rows / groups) * groups)


def partners(config: StageConfig, prepared: Prepared) -> tuple[Mismatched | None, Mismatched | None]:
    """Prompts with the answers of others for the training and the held-out rows, where the objective needs them."""
    if not objective_of(config).needs.baseline:
        return None, None
    limit, seed = config.data.max_tokens, config.train.seed
    train, held_out = mismatch(prepared.train, limit, seed), None
    if prepared.held_out is not None and len(prepared.held_out):
        held_out = mismatch_held_out(prepared.held_out, prepared.train, limit, seed)
    return train, held_out
