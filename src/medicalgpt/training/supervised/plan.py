"""What a run on fixed rows will see, laid out before it begins."""

from dataclasses import dataclass

import numpy as np

from medicalgpt.config.base import StageConfig, SupervisedConfig
from medicalgpt.models.batches import row_costs
from medicalgpt.models.policy import Batching
from medicalgpt.rendering.build import Prepared, replay_choice
from medicalgpt.rendering.kto_pairs import Mismatched, mismatch, mismatch_held_out
from medicalgpt.rendering.pack import RunPlan, plan_run
from medicalgpt.training.stages import objective_of
from medicalgpt.training.supervised.dataset import PlanDataset, Trees, held_out_rows


@dataclass
class Plan:
    """What the run will see."""

    train: PlanDataset
    held_out: PlanDataset | None
    run: RunPlan
    padding: float
    capacity: int


def make_plan(config: SupervisedConfig, prepared: Prepared, batching: Batching, filler: int, world: int) -> Plan:
    """Choose replay, pack everything and lay out the steps.

    Raises:
        ConfigError: tokens_per_step is too small for this number of processes.
    """
    t = config.train
    parts = [(prepared.train, np.arange(len(prepared.train)))]
    if prepared.replay is not None:
        parts.append(
            (prepared.replay, replay_choice(prepared.train, prepared.replay, config.data.replay_share, t.seed))
        )
    trees = Trees(tuple(parts))
    others = partners(config, prepared)
    lengths = row_costs(trees, others[0], batching)
    capacity = t.row_tokens or config.data.max_tokens * config.branches
    rows_per_step = max(1, round(t.tokens_per_step / capacity))
    if rows_per_step % world:
        rows_per_step = max(world, round(rows_per_step / world) * world)
    run = plan_run(lengths, capacity, rows_per_step, t.epochs, t.max_steps, t.seed, batching == "padded")
    held_out = None
    if prepared.held_out is not None and len(prepared.held_out):
        lengths = row_costs(prepared.held_out, others[1], batching)
        rows = held_out_rows(lengths, capacity, batching, world)
        held_out = PlanDataset(prepared.held_out, rows, batching, filler, others[1])
    train = PlanDataset(trees, run.rows, batching, filler, others[0])
    return Plan(train, held_out, run, run.padding_fraction(np.asarray([len(x) for x in trees]), capacity), capacity)


def partners(config: StageConfig, prepared: Prepared) -> tuple[Mismatched | None, Mismatched | None]:
    """Prompts with the answers of others for the training and the held-out rows, where the objective needs them."""
    if not objective_of(config).needs.baseline:
        return None, None
    limit, seed = config.data.max_tokens, config.train.seed
    train, held_out = mismatch(prepared.train, limit, seed), None
    if prepared.held_out is not None and len(prepared.held_out):
        held_out = mismatch_held_out(prepared.held_out, prepared.train, limit, seed)
    return train, held_out
