"""A reward model's numbers on its held-out pairs, when its training ends."""

from typing import Any

import numpy as np

from medicalgpt.models.reward import RewardPolicy
from medicalgpt.rewards.reward_model import answer_lengths, evaluate, score_trees
from medicalgpt.runs.reward_report import RewardReport, lines
from medicalgpt.training.context import AnyContext


def reward_report(ctx: AnyContext, trainer: Any) -> RewardReport | None:
    """A reward model's numbers on its held-out pairs, printed and returned; None for other stages."""
    policy, held_out = trainer.module.policy, trainer.held_out
    if not isinstance(policy, RewardPolicy) or held_out is None:
        return None
    trees = [held_out.trees[i] for i in range(len(held_out.trees))]
    found = evaluate(np.stack(score_trees(policy, trees)), answer_lengths(trees))
    for line in lines(found):
        ctx.console.print(line, highlight=False)
    return found
