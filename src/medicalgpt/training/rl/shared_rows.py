"""Rows of an update that several processes share: each draws, scores and measures its own answers; all learn from those of all.

Drawing and measuring keep no activations, so that a row that fits there may be too long to learn from.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import torch
import torch.distributed as dist

from medicalgpt.config.rl import RlConfig
from medicalgpt.kernels.ulysses import Peers
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.objectives.base import RolloutTargets
from medicalgpt.training.rl.experience import Experience
from medicalgpt.training.rl.roles import Roles
from medicalgpt.training.sequence import RowGroup, prove


def share_updates(roles: Roles, group: RowGroup, config: RlConfig) -> list[str]:
    """See that whoever learns bears shared rows; returns what is to be said of it, nothing where none are shared.

    Raises:
        ConfigError: as `prove`.
    """
    if group.peers is None:
        return []
    for player in (roles.policy, roles.policy.teacher, roles.critic):
        if player is not None:
            prove(player, group.peers, config)
    return [f"each row of an update on {group.peers.size} processes"]


def with_peers(seen: Experience, owned: Sequence[int], peers: Peers | None) -> tuple[Experience, Sequence[int]]:
    """The answers of all peers with the numbers of their prompts, the same on each of them."""
    if peers is None:
        return seen, owned
    said = [(seen, list(owned))] * peers.size
    dist.all_gather_object(said, (seen, list(owned)), group=peers.group)
    return merged([one for one, _ in said]), [number for _, numbers in said for number in numbers]


def merged(parts: Sequence[Experience]) -> Experience:
    """The answers of several processes as those of one, in order."""
    first = parts[0]
    values = {
        field.name: torch.cat([getattr(part, field.name) for part in parts])
        for field in fields(Experience)
        if isinstance(getattr(first, field.name), torch.Tensor)
    }
    trees = [tree for part in parts for tree in part.trees]
    return replace(first, trees=trees, targets=_merged([part.targets for part in parts]), **values)


def _merged(parts: Sequence[RolloutTargets]) -> RolloutTargets:
    values = {
        field.name: torch.cat([getattr(part, field.name) for part in parts])
        for field in fields(RolloutTargets)
        if isinstance(getattr(parts[0], field.name), torch.Tensor)
    }
    return replace(parts[0], **values)


@contextlib.contextmanager
def sharing(model: CausalPolicy | RewardPolicy, peers: Peers | None) -> Iterator[None]:
    """Inside, the model computes its part of every row; all peers must make the same calls."""
    model.peers = peers
    try:
        yield
    finally:
        model.peers = None
