"""Which processes share rows (`distributed.sequence`), and the proof that a model bears it, before it trains."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, final

import torch
import torch.distributed as dist

from medicalgpt.config.base import StageConfig
from medicalgpt.errors import ConfigError
from medicalgpt.kernels.ulysses import Peers
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.probe import probe_trees
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.models.rope import BY_LENGTH
from medicalgpt.models.rope import kinds as kinds_of
from medicalgpt.models.shard import free
from medicalgpt.models.trial import Run, Trial, coarsest, directly
from medicalgpt.rendering.batch import pack_trees
from medicalgpt.training.meter import Reducer
from medicalgpt.training.policy import AUTOCAST, mixed_precision
from medicalgpt.training.supervised.module import StageModule
from medicalgpt.training.together import gathered


@dataclass(frozen=True)
class RowGroup:
    """The processes of a run in `count` groups, each of which works at one row at a time; this one is in group `number`."""

    number: int = 0
    count: int = 1
    peers: Peers | None = None

    @property
    def speaks(self) -> bool:
        """Whether what this process counts is counted; the others of its group count the same."""
        return self.peers is None or self.peers.rank == 0

    @property
    def member(self) -> int:
        """Number of this process in its group."""
        return 0 if self.peers is None else self.peers.rank


class Autocasting(Reducer, Protocol):
    """An accelerator: sums over processes, and the number type of forward passes."""

    def autocast(self) -> AbstractContextManager[None]: ...


@final
class OncePerRow:
    """An accelerator whose sums count a row once, however many processes share it."""

    def __init__(self, accelerator: Autocasting, group: RowGroup) -> None:
        self.accelerator, self.group = accelerator, group

    @property
    def device(self) -> torch.device:
        return self.accelerator.device

    def autocast(self) -> AbstractContextManager[None]:
        return self.accelerator.autocast()

    def reduce(self, tensor: torch.Tensor, how: str = "sum", /) -> torch.Tensor:
        return self.accelerator.reduce(tensor if self.group.speaks else torch.zeros_like(tensor), how)


def row_group(config: StageConfig, rank: int, world: int) -> RowGroup:
    """The groups that `distributed.sequence` asks for, of neighboring processes. All processes ask.

    Raises:
        ConfigError: rows that are not packed, or groups that do not divide the processes.
    """
    size = config.distributed.sequence
    if size == 1:
        return RowGroup(rank, world)
    if config.train.batching == "padded":
        raise ConfigError(
            f"distributed.sequence={size} shares packed rows between processes; train.batching=padded has none. Use auto"
        )
    if world % size:
        raise ConfigError(
            f"distributed.sequence={size} does not divide {world} processes; start a multiple of {size} "
            f"(`torchrun --nproc_per_node {size} -m medicalgpt train …`), or use distributed.sequence=1"
        )
    group, _ = dist.new_subgroups(size, timeout=timedelta(seconds=config.distributed.timeout))
    return RowGroup(rank // size, world // size, Peers(group, rank % size, size))


def share_rows(module: StageModule, group: RowGroup, config: StageConfig) -> str:
    """Let the module's policy share its rows; returns what is to be said of it, empty where it does not.

    Raises:
        ConfigError: as `prove`.
    """
    if group.peers is None:
        return ""
    prove(module.policy, group.peers, config, module.trial)
    free(module)
    module.share_rows(group.peers)
    return f"; each row on {group.peers.size} processes"


def prove(policy: CausalPolicy | RewardPolicy, peers: Peers, config: StageConfig, run: Run = directly) -> None:
    """See that a model gives the numbers with shared rows that it gives without; on all processes together.

    Args:
        run: how its forward passes are run.

    Raises:
        ConfigError: it does not, or cannot be packed.
    """
    asked = f"distributed.sequence={peers.size}"
    if policy.batching != "tree":
        raise ConfigError(
            f"{asked} shares packed rows between processes, and this model cannot be packed; use distributed.sequence=1"
        )
    if kinds := BY_LENGTH.intersection(kinds_of(unwrap(policy.model).config.get_text_config())):
        raise ConfigError(
            f"{asked}: this model's rotary embedding ({', '.join(sorted(kinds))}) depends on the length of the whole row, of which "
            "a process sees a part; use distributed.sequence=1"
        )
    why = _objection(policy, peers, Trial(AUTOCAST[mixed_precision(config)], run=run))
    if found := next(filter(None, gathered(why)), ""):
        raise ConfigError(f"{asked}: this model {found} when a row is shared; use distributed.sequence=1")


def _objection(policy: CausalPolicy | RewardPolicy, peers: Peers, trial: Trial) -> str:
    """Why a policy is not itself with shared rows; empty where it is."""
    modes = [(module, module.training) for module in policy.modules()]  # roles on one base have modes of their own
    trees = probe_trees(int(unwrap(policy.model).config.get_text_config().vocab_size))
    packed = pack_trees(trees).to(next(policy.parameters()).device)

    def ask() -> torch.Tensor:
        return policy.scores(packed) if isinstance(policy, RewardPolicy) else policy.logps(packed)[0]

    policy.eval()
    try:
        alone = trial.outcome(policy.model, ask)
        policy.peers = peers
        shared = trial.outcome(policy.model, ask)
    finally:
        policy.peers = None
        for module, mode in modes:
            module.training = mode
    unit = "score" if isinstance(policy, RewardPolicy) else "log-probability"
    return shared.objection(alone, coarsest(policy.model, trial.autocast), unit)
