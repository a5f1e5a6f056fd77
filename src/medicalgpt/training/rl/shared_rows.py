"""Rows of an update that several processes share: each draws, scores and measures its own answers; all learn from those of all.

Drawing and measuring keep no activations, so that a row that fits there may be too long to learn from.
"""

import contextlib
from collections.abc import Iterator, Sequence

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
            prove(player, group.peers, config, player.passes.trial)
            player.passes.free()
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
    targets = [part.targets for part in parts]
    return Experience(
        trees=[tree for part in parts for tree in part.trees],
        lengths=torch.cat([part.lengths for part in parts]),
        entropy=torch.cat([part.entropy for part in parts]),
        targets=RolloutTargets(
            torch.cat([one.old for one in targets]),
            _joined([one.advantages for one in targets]),
            _joined([one.old_values for one in targets]),
            _joined([one.returns for one in targets]),
            _joined([one.counted for one in targets]),
            targets[0].mean_length,
        ),
        reference=torch.cat([part.reference for part in parts]),
        stopped=torch.cat([part.stopped for part in parts]),
        score=torch.cat([part.score for part in parts]),
        total=torch.cat([part.total for part in parts]),
    )


def _joined(values: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """End to end; None where the stage has no such thing."""
    found = [value for value in values if value is not None]
    return torch.cat(found) if found else None


@contextlib.contextmanager
def sharing(model: CausalPolicy | RewardPolicy, peers: Peers | None) -> Iterator[None]:
    """Inside, the model computes its part of every row; all peers must make the same calls."""
    model.peers = peers
    try:
        yield
    finally:
        model.peers = None
