"""Held-out prompts before, during and after: greedy answers with their scores, and the loss of the reference answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from medicalgpt.data.records import Message
from medicalgpt.errors import MedicalGPTError
from medicalgpt.models.batches import batches
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.rendering.rows import render_dialogue
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tree import TokenTree
from medicalgpt.rewards.answers import Group, PromptRow
from medicalgpt.rewards.sources import Scores, joined
from medicalgpt.runs.intervals import mean, share
from medicalgpt.training.rl.experience import Experience
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.rl.rollout import Rollouts


@dataclass
class HeldOut:
    """The held-out set of a stage, shared out over processes."""

    rows: Sequence[PromptRow]
    answer: Callable[[Sequence[PromptRow]], Rollouts]
    measure: Callable[[Sequence[Group]], Experience]
    score: Callable[[Sequence[Group]], Scores] | None
    references: list[TokenTree]
    world: ProcessGroup
    groups: list[Group] = field(default_factory=list)
    scores: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    """[prompts, (score, reward)] of the last evaluation."""

    def evaluate(self, policy: CausalPolicy, capacity: int, start: Sequence[Sequence[float]] = ()) -> dict[str, float]:
        """Metrics `eval/…`; with the `scores` of the start also both gains per prompt with their 95 % intervals."""
        if not self.rows:
            return {}
        _, mine = self.world.mine(self.rows)
        found = self.answer(mine).groups
        scores = self.score(found) if self.score else None
        gathered = self.world.gather((found, self._numbers(found, scores), scores))
        self.groups = [g for groups, _, _ in gathered for g in groups]
        table = np.concatenate(
            [numbers for _, numbers, _ in gathered]
        )  # [prompts, (score, total, kl, length, stopped)]
        out = {f"eval/{n}": float(v) for n, v in zip(("kl", "length", "stop_rate"), table[:, 2:].mean(0))}
        moved = mean(table[:, 2])
        out |= {"eval/kl_low": moved.low, "eval/kl_high": moved.high}
        self.scores = table[:, :2]
        if self.score is not None:
            out |= self._estimates(np.asarray(start))
            out |= _parts(joined([scores for _, _, scores in gathered if scores is not None]))
        if self.references:
            out["eval/answer_loss"] = reference_loss(policy, self.references, capacity, self.world)
        return out

    def _estimates(self, start: np.ndarray) -> dict[str, float]:
        """Means with 95 % intervals of score, reward and, where the start is known, their gains."""
        columns = dict(zip(("score", "reward"), self.scores.T))
        if start.shape == self.scores.shape:
            columns |= zip(("score_gain", "reward_gain"), (self.scores - start).T)
        out: dict[str, float] = {}
        for name, values in columns.items():
            found = mean(values)
            out |= {f"eval/{name}": found.value, f"eval/{name}_low": found.low, f"eval/{name}_high": found.high}
        return out

    def _numbers(self, groups: Sequence[Group], scores: Scores | None) -> np.ndarray:
        seen = self.measure(groups)
        if not groups:
            return np.empty((0, 5))
        answers = [g.answers[0] for g in groups]
        nothing = np.zeros(len(groups))
        columns = [nothing if scores is None else scores.score, nothing if scores is None else scores.total]
        columns += [seen.kl.numpy(), np.asarray([len(a.ids) for a in answers])]
        return np.stack([*columns, np.asarray([a.stopped for a in answers])], 1).astype(np.float64)


def _parts(scores: Scores) -> dict[str, float]:
    """Where several rewards are added up, the mean of each with its 95 % interval; and what a judge left ungraded."""
    out: dict[str, float] = {}
    for label, values in scores.parts.items() if len(scores.parts) > 1 else ():
        whole = bool(np.isin(values, (0.0, 1.0)).all())
        found = share(float(values.sum()), len(values)) if whole else mean(values)
        name = f"eval/parts/{label.rsplit('/', 1)[-1]}"
        out |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    if scores.ungraded:
        out["eval/ungraded"] = scores.ungraded / len(scores.score)
    return out


def reference_trees(rows: Sequence[PromptRow], template: ChatTemplate, max_tokens: int) -> list[TokenTree]:
    """The answers that stood in the data, as SFT would train them; rows without one are left out."""
    out: list[TokenTree] = []
    for row in rows:
        if row.reference is None:
            continue
        whole = replace(row.dialogue, messages=(*row.dialogue.messages, Message("assistant", row.reference)))
        try:
            out += render_dialogue(whole, template, max_tokens, "last").trees
        except MedicalGPTError:  # an answer the template refuses says nothing about the policy
            continue
    return out


@torch.no_grad()
def reference_loss(policy: CausalPolicy, trees: Sequence[TokenTree], capacity: int, world: ProcessGroup) -> float:
    """Mean NLL of the reference answers' tokens, nats, at temperature 1."""
    _, mine = world.mine(trees)
    total = count = 0.0
    sampled, policy.temperature = policy.temperature, 1.0
    try:
        rows = batches(mine, policy.batching, capacity, device=world.device)
        for batch in policy.passes.even(rows, policy.batching, world.device):
            total -= float((policy.passes.run(partial(policy.logps, batch))[0] * batch.weights).sum())
            count += float(batch.weights.sum())
    finally:
        policy.temperature = sampled
    policy.passes.free()
    total, count = world.sums(total, count)
    return total / count
