"""Fills the caches of reference log-probabilities before training: every process has a part of the rows.

Which caches are there is decided by all processes together: one that found its own and went on would leave the others waiting.
"""

import hashlib
import os
from pathlib import Path

import torch
import torch.distributed as dist

from medicalgpt.models.batches import costs
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.shard import free, runs_on
from medicalgpt.training.launch import side_group
from medicalgpt.training.sequence import RowGroup
from medicalgpt.training.supervised.module import StageModule
from medicalgpt.training.supervised.plan import Plan, PlanDataset, held_out_rows
from medicalgpt.training.supervised.reference_cache import ReferenceCache, compute
from medicalgpt.training.together import gathered


def fill_caches(
    plan: Plan,
    module: StageModule,
    policy: CausalPolicy,
    key: str,
    cache: Path,
    autocast: torch.dtype | None,
    group: RowGroup,
) -> None:
    """Attach reference log-probabilities to all of the plan's data, computing them where no cache of that content exists.

    Args:
        module: what `policy` is a part of.
        autocast: that of the training step: the same rounding makes the first margin exactly 0.
    """
    named = [("train", plan.train), ("held_out", plan.held_out)]
    named += [(f"{name}/mismatched", data.mismatched) for name, data in named if data is not None]
    for name, data in named:
        if data is None:
            continue
        digest = hashlib.sha256(f"{key}/{name}/{policy.batching}".encode()).hexdigest()[:32]
        path = cache / "reference" / f"{digest}.npz"
        data.reference = _found(path)
        if data.reference is None:
            data.reference = _computed(plan, data, module, policy, autocast, group)
        if not path.is_file() and os.environ.get("LOCAL_RANK", "0") == "0":
            data.reference.save(path)


def _found(path: Path) -> ReferenceCache | None:
    """The cache, where any process's machine has it; the first of those sends it to all."""
    there = gathered(path.is_file())
    if not any(there):
        return None
    if all(there):
        return ReferenceCache.load(path)
    source = there.index(True)
    told = [ReferenceCache.load(path) if dist.get_rank() == source else None]
    dist.broadcast_object_list(told, src=source, group=side_group())
    return told[0]


def _computed(
    plan: Plan,
    data: PlanDataset,
    module: StageModule,
    policy: CausalPolicy,
    autocast: torch.dtype | None,
    group: RowGroup,
) -> ReferenceCache:
    # Empty rows stay: a sharded model wants the same number of passes in every process.
    rows = held_out_rows(costs(data.trees, policy.batching), plan.capacity, policy.batching, group.count)
    mine = rows[group.number :: group.count]
    with torch.autocast(runs_on(policy).type, autocast, enabled=autocast is not None):
        found = module.within(lambda: compute(policy, data.trees, mine, policy.batching, data.filler))
    free(module)
    return found
