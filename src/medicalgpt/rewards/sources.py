"""What answers are worth: the weighted sum of all scores, minus penalties; checked before anything is learned from it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from medicalgpt.config.rl import RewardConfig
from medicalgpt.errors import RunError
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.rewards.answers import Group
from medicalgpt.rewards.functions import Scorer, open_function
from medicalgpt.rewards.reward_model import score_trees

Source = Callable[[Sequence[Group]], np.ndarray]
"""Scores [answers] of all answers of the groups, in order."""


@dataclass
class Scores:
    """`score` [answers]: the weighted sum, or `missing_stop_score`; `total`: penalties taken off; `parts`: each source's."""

    score: np.ndarray
    total: np.ndarray
    parts: dict[str, np.ndarray] = field(default_factory=dict)


class Rewards:
    """All sources of a stage."""

    def __init__(
        self,
        config: RewardConfig,
        new_tokens: int,
        model: RewardPolicy | None,
        stop_id: int,
        mean: float = 0.0,
        std: float = 1.0,
    ) -> None:
        """`mean` and `std` are of the reward model's held-out scores; `new_tokens` is the longest answer."""
        self.config, self.new_tokens = config, new_tokens
        self.sources: list[tuple[str, float, Source]] = []
        if model is not None:
            bound = config.clip if config.clip is not None else math.inf
            shift, scale = (mean, std) if config.normalize else (0.0, 1.0)
            self.sources.append(("model", config.weight, _model(model, stop_id, shift, scale, bound)))
        for entry in config.functions:
            scorer = open_function(entry, config.allow_remote)
            self.sources.append((entry.path, entry.weight, _function(entry.path, scorer)))

    def __call__(self, groups: Sequence[Group]) -> Scores:
        """Scores of every answer, group by group.

        Raises:
            RunError: a source failed, was late, or gave another number of scores or one that is not finite.
        """
        parts = {name: _checked(name, source(groups), groups) for name, _, source in self.sources}
        score = np.sum([weight * parts[name] for name, weight, _ in self.sources], axis=0)
        answers = [a for g in groups for a in g.answers]
        missing = np.asarray([not a.stopped for a in answers])
        length = np.asarray([len(a.ids) / self.new_tokens for a in answers])
        c = self.config
        if c.missing_stop_score is not None:
            # As in arXiv 1909.08593: what an unfinished answer would get does not count, so nothing is won by being cut.
            score = np.where(missing, c.missing_stop_score, score)
        return Scores(score, score - c.missing_stop_penalty * missing - c.length_penalty * length, parts)


def _checked(name: str, scores: np.ndarray, groups: Sequence[Group]) -> np.ndarray:
    """Raises RunError with the rows concerned, never with their text."""
    owners = [str(g.row.source) for g in groups for _ in g.answers]
    if scores.shape != (len(owners),):
        raise RunError(f"reward {name} gave {scores.size} scores for {len(owners)} answers; it must give one for each")
    bad = [owner for owner, finite in zip(owners, np.isfinite(scores)) if not finite]
    if bad:
        raise RunError(
            f"reward {name}: {len(bad)} of {len(owners)} scores are not finite (NaN or infinite), first for the prompt of "
            f"{bad[0]}. Nothing was learned from them; the last checkpoint is intact"
        )
    return scores


def _model(model: RewardPolicy, stop_id: int, mean: float, std: float, bound: float) -> Source:
    def score(groups: Sequence[Group]) -> np.ndarray:
        raw = np.concatenate(score_trees(model, [g.closed_tree(stop_id) for g in groups]))
        return np.clip((raw - mean) / std, -bound, bound)

    return score


def _function(name: str, scorer: Scorer) -> Source:
    def score(groups: Sequence[Group]) -> np.ndarray:
        turns = [[m.as_dict() for m in g.row.dialogue.messages] for g in groups for _ in g.answers]
        found = scorer(turns, [a.text for g in groups for a in g.answers])
        try:
            return np.asarray(list(found), np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise RunError(f"reward {name} did not give a list of numbers") from None

    return score
