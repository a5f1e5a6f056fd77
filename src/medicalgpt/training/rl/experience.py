"""What an update learns from: log-probabilities, values and advantages of every sampled token, tree by tree."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from medicalgpt.config.rl import PpoObjective, RlConfig
from medicalgpt.config.stages import GrpoObjective
from medicalgpt.models.batches import batches
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.models.shard import runs_on
from medicalgpt.objectives import advantages
from medicalgpt.objectives.base import RolloutTargets
from medicalgpt.rendering.batch import TreeBatch
from medicalgpt.rendering.tree import TokenTree
from medicalgpt.rewards.answers import Group
from medicalgpt.rewards.sources import Scores
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.rl.roles import Roles
from medicalgpt.training.stages import policy_objective


@dataclass
class Experience:
    """The answers of one process. Token tensors [T] lie end to end over trees; `lengths` [answers] cuts them, and `stopped`
    [answers] tells those that ended by themselves.

    `targets` and `reference` [T] are what objectives read of a batch.
    """

    trees: list[TokenTree]
    lengths: torch.Tensor
    entropy: torch.Tensor
    targets: RolloutTargets
    reference: torch.Tensor
    stopped: torch.Tensor
    score: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    total: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def __post_init__(self) -> None:
        self.ends = np.cumsum([tree.trained for tree in self.trees])

    def attach(self, batch: TreeBatch) -> TreeBatch:
        """Put what is known of its trees' tokens [N] into a batch, on its device; returns the batch."""
        index, device = self._places(batch.items), batch.weights.device
        batch.rollout = self.targets.map(lambda values: values[index].to(device))
        batch.reference = self.reference[index].to(device)
        return batch

    def _places(self, items: Sequence[int]) -> torch.Tensor:
        """Where the tokens of several trees lie [N], in the order a batch of them lists its positions."""
        starts = np.concatenate([[0], self.ends])
        where = [np.arange(starts[i], self.ends[i]) for i in items]
        return torch.from_numpy(np.concatenate(where)) if where else torch.empty(0, dtype=torch.long)

    @property
    def kl(self) -> torch.Tensor:
        """KL to the reference of every answer [answers], nats (k1)."""
        return advantages.per_completion(self.targets.old - self.reference, self.lengths)


@torch.no_grad()
def measure(roles: Roles, groups: Sequence[Group], capacity: int, filler: int, with_critic: bool = True) -> Experience:
    """Run policy, reference and (to learn from the answers) the critic over them, with the weights that sampled them."""
    critic = roles.critic if with_critic else None
    trees = [group.tree for group in groups]
    ends = np.cumsum([0, *(tree.trained for tree in trees)])
    names = ["old", "entropy", "reference"] + (["old_values"] if critic else [])
    found = {name: torch.empty(int(ends[-1])) for name in names}
    device = runs_on(roles.policy)

    def put(batch: TreeBatch, **values: torch.Tensor) -> None:
        if not batch.items:
            return
        where = torch.from_numpy(np.concatenate([np.arange(ends[i], ends[i + 1]) for i in batch.items]))
        for name, value in values.items():
            found[name][where] = value.float().cpu()

    def rows(player: CausalPolicy | RewardPolicy) -> Iterator[TreeBatch]:
        found = batches(trees, player.batching, capacity, filler, device)
        return player.passes.even(found, player.batching, device, filler)

    policy = roles.policy
    with roles.precision():
        for batch in rows(policy):
            old, entropy = policy.passes.run(partial(policy.distribution, batch))
            put(batch, old=old, entropy=entropy, reference=roles.reference_logps(batch))
        if critic is not None:  # a model of its own may have to be batched in its own way
            for batch in rows(critic):
                put(batch, old_values=critic.passes.run(partial(critic.values, batch)))
    roles.free()
    lengths = torch.tensor([len(a.ids) for g in groups for a in g.answers], dtype=torch.long)
    stopped = torch.tensor([a.stopped for g in groups for a in g.answers], dtype=torch.bool)
    targets = RolloutTargets(found["old"], old_values=found.get("old_values"))
    return Experience(trees, lengths, found["entropy"], targets, found["reference"], stopped)


def logprob_gaps(groups: Sequence[Group], old: torch.Tensor, world: ProcessGroup) -> dict[str, float]:
    """How far the log-probabilities [T] of whoever drew the tokens are from the trained model's, over all processes.

    Returns:
        `logprob_gap`, the mean of the absolute differences in nats, and `logprob_gap_p99` of the process where it is largest;
        nothing where the trained model itself drew.
    """
    said = torch.tensor([x for g in groups for a in g.answers for x in a.logps], dtype=torch.float64)
    gaps = (said - old.double()).abs() if len(said) else said
    total, count = world.sums(float(gaps.sum()), len(gaps))
    if not count:
        return {}
    worst = max(world.gather(float(gaps.quantile(0.99)) if len(gaps) else 0.0))
    return {"logprob_gap": total / count, "logprob_gap_p99": worst}


def assign(config: RlConfig, seen: Experience, scores: Scores, beta: float, world: ProcessGroup) -> dict[str, float]:
    """Put advantages (and returns) into `seen`; returns what is known of them over all processes."""
    seen.score = torch.from_numpy(scores.score).float()
    seen.total = torch.from_numpy(scores.total).float()
    filters = isinstance(config.objective, GrpoObjective) and config.objective.overlong_filter
    counted = seen.stopped.float().repeat_interleave(seen.lengths) if filters else None
    mine = seen.lengths.sum() if counted is None else counted.sum()
    tokens, answers = world.sums(float(mine), len(seen.lengths))
    seen.targets = replace(seen.targets, counted=counted, mean_length=tokens / answers)
    values = seen.targets.old_values
    if config.critic is not None and values is not None:
        return _with_critic(config.critic, seen, values, beta, world)
    n = config.rollout.completions
    found = policy_objective(config).advantages(seen.total.view(-1, n), (beta * seen.kl).view(-1, n))
    if found is not None:
        seen.targets = replace(seen.targets, advantages=found.reshape(-1).repeat_interleave(seen.lengths))
    return {}


def _with_critic(
    o: PpoObjective, seen: Experience, values: torch.Tensor, beta: float, world: ProcessGroup
) -> dict[str, float]:
    """Advantages by GAE from the critic's values [T], and the returns that the critic is fitted to."""
    kl = advantages.kl_terms(seen.targets.old, seen.reference, o.kl_estimator)
    rewards = advantages.token_rewards(seen.total, kl, seen.lengths, beta)
    found = advantages.gae(rewards, values, seen.lengths, o.gamma, o.lam)
    returns = found + values
    seen.targets = replace(seen.targets, returns=returns, advantages=whitened(found, world) if o.whiten else found)
    left, whole = variance(returns - values, world), variance(returns, world)
    return {"explained_variance": 1 - left / whole if whole > 0 else 0.0}


def whitened(values: torch.Tensor, world: ProcessGroup) -> torch.Tensor:
    """Mean 0 and variance 1 over all tokens of all processes."""
    total, count = world.sums(float(values.double().sum()), len(values))
    white: torch.Tensor = (values - total / count) / (variance(values, world) ** 0.5 + 1e-8)
    return white


def variance(values: torch.Tensor, world: ProcessGroup) -> float:
    """Biased variance over all tokens of all processes."""
    total, count = world.sums(float(values.double().sum()), len(values))
    (squares,) = world.sums(float((values.double() - total / count).square().sum()))
    return squares / count
