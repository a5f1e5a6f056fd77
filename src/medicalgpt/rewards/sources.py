"""What answers are worth: the weighted sum of all scores, minus penalties; checked before anything is learned from it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from medicalgpt.config.rewards import RewardConfig
from medicalgpt.errors import RunError
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.rewards import columns
from medicalgpt.rewards.answers import Group, PromptRow
from medicalgpt.rewards.functions import FunctionReward
from medicalgpt.rewards.named import NamedReward
from medicalgpt.rewards.numbers import LARGEST, too_large
from medicalgpt.rewards.reward_model import score_trees
from medicalgpt.rewards.rubric import RubricReward
from medicalgpt.rewards.services import ServiceReward

Source = Callable[[Sequence[Group]], Sequence[float | None] | np.ndarray]
"""Scores [answers] of all answers of the groups, in order; None for those that it could not grade."""


class Scorer(Protocol):
    """An entry of `reward.functions`, ready to score."""

    label: str
    names: list[str]
    """The columns that it is handed, once it was prepared."""

    def prepare(self, rows: Sequence[PromptRow]) -> list[str]:
        """Look for what it asks of the rows of a run; gives notes. Raises DataError with the first row that lacks it."""
        ...

    def __call__(self, groups: Sequence[Group]) -> Sequence[float | None]:
        """A score for every answer, group by group; None where it could not be graded. Raises RunError."""
        ...


@dataclass(frozen=True)
class Functions:
    """The entries of `reward.functions` with their weights, in order."""

    scorers: list[tuple[Scorer, float]]

    @classmethod
    def open(cls, config: RewardConfig, rows: Sequence[PromptRow]) -> tuple["Functions", list[str]]:
        """Open every entry and look at all rows that it will judge, before a model is loaded; also gives notes.

        Raises:
            ConfigError: an entry that is no function, service or name.
            DataError: a row without what an entry asks for.
        """
        found = cls([(_opened(config, i), entry.weight) for i, entry in enumerate(config.functions)])
        notes = [note for scorer, _ in found.scorers for note in scorer.prepare(rows)]
        if found.scorers and (note := columns.ambiguity(rows)):
            notes.append(note)
        return found, notes

    @property
    def columns(self) -> set[str]:
        """The columns that any entry is handed."""
        return {name for scorer, _ in self.scorers for name in scorer.names}


def _opened(config: RewardConfig, place: int) -> Scorer:
    entry = config.functions[place]
    if entry.judge is not None:
        return RubricReward(entry, config.allow_remote)
    if entry.name is not None:
        return NamedReward(entry)
    if str(entry.path).startswith(("http://", "https://")):
        return ServiceReward(entry, config.allow_remote)
    return FunctionReward(entry)


@dataclass
class Scores:
    """`score` [answers]: the weighted sum, or `missing_stop_score`; `total`: penalties taken off; `parts`: each source's.

    `ungraded` counts answers that a judge gave no verdict on.
    """

    score: np.ndarray
    total: np.ndarray
    parts: dict[str, np.ndarray] = field(default_factory=dict)
    ungraded: int = 0

    def where(self, kept: np.ndarray) -> "Scores":
        """Those of some answers; `kept` [answers] is boolean."""
        parts = {name: part[kept] for name, part in self.parts.items()}
        return Scores(self.score[kept], self.total[kept], parts, self.ungraded)


def joined(parts: Sequence[Scores]) -> Scores:
    """Scores of several lists of groups, one behind the other; nothing of none."""
    held = [part for part in parts if len(part.score)]
    if not held:
        return Scores(np.empty(0), np.empty(0), {}, sum(part.ungraded for part in parts))
    named = {name: np.concatenate([part.parts[name] for part in held]) for name in held[0].parts}
    score, total = (np.concatenate([getattr(part, name) for part in held]) for name in ("score", "total"))
    return Scores(score, total, named, sum(part.ungraded for part in parts))


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
        functions: Functions | None = None,
    ) -> None:
        """`mean` and `std` are of the reward model's held-out scores; `new_tokens` is the longest answer; `functions` were
        opened for the rows that will be judged (None: those of `config`, which then are handed no columns)."""
        self.config, self.new_tokens, self.model = config, new_tokens, model
        self.sources: list[tuple[str, float, Source]] = []
        if model is not None:
            bound = config.clip if config.clip is not None else math.inf
            shift, scale = (mean, std) if config.normalize else (0.0, 1.0)
            self.sources.append(("model", config.weight, _model(model, stop_id, shift, scale, bound)))
        if functions is None:
            functions, _ = Functions.open(config, ())
        for scorer, weight in functions.scorers:
            self.sources.append((self._unique(scorer.label), weight, scorer))

    def _unique(self, label: str) -> str:
        """Two entries may be the same function with other settings; each keeps its scores."""
        taken = [name for name, _, _ in self.sources]
        again = next(n for n in range(1, len(taken) + 2) if (label if n == 1 else f"{label} ({n})") not in taken)
        return label if again == 1 else f"{label} ({again})"

    def __call__(self, groups: Sequence[Group]) -> Scores:
        """Scores of every answer, group by group. A process without answers takes part in a reward model's passes.

        Raises:
            RunError: a source failed, was late, or gave another number of scores or one that is not finite or too large.
        """
        ungraded, parts = np.zeros(sum(len(g.answers) for g in groups), bool), dict[str, np.ndarray]()
        if not groups:
            if self.model is not None:
                score_trees(self.model, [])
            return joined([])
        for name, _, source in self.sources:
            found = np.asarray(source(groups), object)
            without = np.asarray([one is None for one in found], bool)
            if without.any():
                found, ungraded = neutral(found, without, groups), ungraded | without
            parts[name] = _checked(f"reward {name}", found.astype(np.float64), groups)
        score = np.sum([weight * parts[name] for name, weight, _ in self.sources], axis=0)
        answers = [a for g in groups for a in g.answers]
        missing = np.asarray([not a.stopped for a in answers])
        sizes = np.asarray([len(a.ids) for a in answers])
        c = self.config
        if c.missing_stop_score is not None:
            # As in arXiv 1909.08593: what an unfinished answer would get does not count, so nothing is won by being cut.
            score = np.where(missing, c.missing_stop_score, score)
        total = score - c.missing_stop_penalty * missing - c.length_penalty * sizes / self.new_tokens
        if c.overlong_buffer is not None:
            # DAPO (arXiv 2503.14476), equation 13: nothing up to the buffer, all of it at the limit.
            inside = (sizes - (self.new_tokens - c.overlong_buffer)) / c.overlong_buffer
            total = total - c.overlong_penalty * np.clip(inside, 0, 1)
        _checked("the weighted sum of the rewards", total, groups)
        return Scores(score, total, parts, int(ungraded.sum()))


def neutral(found: np.ndarray, without: np.ndarray, groups: Sequence[Group]) -> np.ndarray:
    """Scores [answers] in which those that are missing, `without`, neither gain nor lose.

    They get the mean of their graded siblings, or of all graded answers where they have none: any fixed number, such as 0,
    would praise or punish an answer for the judge's silence.
    """
    out = np.where(without, np.nan, found).astype(np.float64)
    everyone, at = float(np.nanmean(out)), 0
    for group in groups:
        part = out[at : at + len(group.answers)]
        missing = np.isnan(part)
        part[missing] = everyone if missing.all() else np.nanmean(part)
        at += len(group.answers)
    return out


def _checked(who: str, scores: np.ndarray, groups: Sequence[Group]) -> np.ndarray:
    """Raises RunError with the rows concerned, never with their text."""
    owners = [str(g.row.source) for g in groups for _ in g.answers]
    if scores.shape != (len(owners),):
        raise RunError(f"{who} gave {scores.size} scores for {len(owners)} answers; it must give one for each")
    for bad, what in (
        (~np.isfinite(scores), "not finite (NaN or infinite)"),
        (np.asarray([too_large(s) for s in scores], bool), f"beyond ±{LARGEST:g}"),
    ):
        if bad.any():
            raise RunError(
                f"{who}: {bad.sum()} of {len(owners)} scores are {what}, first for the prompt of "
                f"{owners[int(bad.argmax())]}. Nothing was learned from them; the last checkpoint is intact"
            )
    return scores


def _model(model: RewardPolicy, stop_id: int, mean: float, std: float, bound: float) -> Source:
    def score(groups: Sequence[Group]) -> np.ndarray:
        raw = np.concatenate(score_trees(model, [g.closed_tree(stop_id) for g in groups]))
        return np.clip((raw - mean) / std, -bound, bound)

    return score
