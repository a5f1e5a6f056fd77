"""The answers of one update: drawn, scored, and (dynamic sampling) kept where those to one prompt differ in reward.

Answers that are all worth the same say nothing about which is better: their advantages are 0 (DAPO, arXiv 2503.14476).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from medicalgpt.config.rl import RlConfig
from medicalgpt.kernels.malloc import release_memory
from medicalgpt.rewards.answers import Group, PromptRow
from medicalgpt.rewards.sources import Scores, joined
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.rl.rollout import Rollouts, RolloutSampler, require_answers

# Reward models score the same text alike only up to rounding.
_ALIKE = 1e-6


@dataclass
class Draw:
    """One process's part of an update's answers.

    `groups` are learned from, `scores` are their answers', and `owned` their numbers among the update's `total`. `every`
    holds all groups that were drawn, with the sum of their scores; `prompts` counts them over all processes.
    """

    groups: list[Group] = field(default_factory=list)
    scores: Scores = field(default_factory=lambda: joined([]))
    owned: list[int] = field(default_factory=list)
    total: int = 0
    prompts: int = 0
    every: list[Group] = field(default_factory=list)
    score: float = 0.0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def without_spread(self) -> int:
        """Groups that were dropped, over all processes."""
        return self.prompts - self.total


@dataclass
class Drawer:
    """Draws the answers of an update from the prompts of a run, which are passed over again and again."""

    config: RlConfig
    sampler: RolloutSampler
    rewards: Callable[[Sequence[Group]], Scores]
    rows: Sequence[PromptRow]
    world: ProcessGroup

    def draw(self, update: int, begun: int) -> Draw:
        """The answers of update number `update` (0-based), from prompt number `begun` on.

        With `rollout.dynamic_sampling=refill` the next prompts take the place of those that were dropped, until the update
        is full or `rollout.refills` more rounds are over. The same on every number of processes, up to rounding.

        Raises:
            RunError: all answers of the first round are empty, or a reward failed.
        """
        c, out = self.config.rollout, Draw()
        rounds = 1 + (c.refills if c.dynamic_sampling == "refill" else 0)
        parts: list[Scores] = []
        for number in range(rounds):
            rows = self.prompts(begun + out.prompts, c.prompts - out.total)
            first, mine = self.world.mine(rows)
            rolled = self.sampler.sample(mine, out.prompts + first, update)
            release_memory()  # each phase asks for other sizes; what the last one left in pieces would come on top of them
            if number == 0:
                said = self.world.gather([bool(a.text.strip()) for g in rolled.groups for a in g.answers])
                require_answers([one for part in said for one in part], update + 1)
            scores = self.rewards(rolled.groups)
            parts.append(self._keep(out, rolled, scores, first, len(rows)))
            if out.total == c.prompts:
                break
        out.scores = joined(parts)
        return out

    def _keep(self, out: Draw, rolled: Rollouts, scores: Scores, first: int, count: int) -> Scores:
        """Put one round's groups that are learned from into `out`; returns the scores of their answers."""
        n = self.config.rollout.completions
        kept = np.ones(len(rolled.groups), bool)
        if self.config.rollout.dynamic_sampling is not None:
            kept = spread(scores.total.reshape(-1, n))
        flags = np.asarray([one for part in self.world.gather(kept.tolist()) for one in part], bool)
        numbers = out.total + np.cumsum(flags) - 1
        own = zip(rolled.groups, kept, numbers[first : first + len(kept)])
        for group, keep, place in own:
            if keep:
                out.groups.append(group)
                out.owned.append(int(place))
        out.every += rolled.groups
        out.score += float(scores.score.sum())
        out.tokens, out.seconds = out.tokens + rolled.tokens, out.seconds + rolled.seconds
        out.prompts, out.total = out.prompts + count, out.total + int(flags.sum())
        return scores.where(kept.repeat(n))

    def prompts(self, begun: int, count: int) -> list[PromptRow]:
        """The prompts of numbers `begun` to `begun + count`: passes over all of them, each in a new order."""
        size, seed = len(self.rows), self.config.train.seed
        places = [divmod(place, size) for place in range(begun, begun + count)]
        orders = {
            epoch: np.random.default_rng([seed, 5, epoch]).permutation(size) for epoch in {epoch for epoch, _ in places}
        }
        return [self.rows[int(orders[epoch][at])] for epoch, at in places]


def spread(rewards: np.ndarray) -> np.ndarray:
    """Which groups [G] have answers of different rewards [G, n]; differences that are rounding do not count."""
    if not len(rewards):
        return np.ones(0, bool)
    different: np.ndarray = np.ptp(rewards, axis=1) > _ALIKE * np.maximum(1.0, np.abs(rewards).max(axis=1))
    return different
