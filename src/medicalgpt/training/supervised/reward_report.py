"""A reward model's numbers on its held-out pairs, when its training ends."""

import numpy as np

from medicalgpt.language import translated
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.models.shard import free
from medicalgpt.rewards.reward_model import answer_lengths, evaluate, score_trees
from medicalgpt.runs.reward_report import RewardReport, lines
from medicalgpt.training.context import AnyContext
from medicalgpt.training.supervised.trainer import StageTrainer


def reward_report(ctx: AnyContext, trainer: StageTrainer) -> RewardReport | None:
    """A reward model's numbers on its held-out pairs, printed and returned; None for other stages.

    The first process measures; of a sharded model, or with shared rows, all do, each the same.
    """
    module, held_out = trainer.module, trainer.held_out
    policy = module.policy
    alone = module.sharding is None and policy.peers is None
    if not isinstance(policy, RewardPolicy) or held_out is None or (alone and ctx.rank != 0):
        return None
    trees = [held_out.trees[i] for i in range(len(held_out.trees))]
    scores = np.stack(module.within(lambda: score_trees(policy, trees)))
    free(module)
    found = evaluate(scores, answer_lengths(trees))
    for line in lines(found):
        ctx.console.print(translated(line), highlight=False)
    return found
