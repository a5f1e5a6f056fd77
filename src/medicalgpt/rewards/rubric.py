"""The reward `rubric`: a judge says which criteria an answer meets, and they are worth points.

Score = Σ points of criteria that are met / Σ points above 0, as HealthBench counts (arXiv 2505.08775): 1 at best, below 0
where criteria of negative points, faults, are met. An answer without a verdict gets none (None), never 0.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from medicalgpt.config.rewards import RewardFunction
from medicalgpt.disk.cache import cache_root
from medicalgpt.errors import RunError
from medicalgpt.rewards import columns
from medicalgpt.rewards.answers import Group, PromptRow
from medicalgpt.rewards.judge import Judge, Question
from medicalgpt.rewards.named import Reply
from medicalgpt.rewards.posting import require_allowed

_MOST: Final = 50  # criteria of a row
_LONGEST: Final = 4000  # characters of one
_FIX: Final = 'write a list such as [{"criterion": "Says when to call 112", "points": 5}], or a text'


@dataclass(frozen=True)
class Criterion:
    """What an answer may do, and what it is worth; below 0 where it should not. `tags`: what it is counted under."""

    text: str
    points: float = 1.0
    tags: tuple[str, ...] = ()


class RubricReward:
    """The judge's score of every answer."""

    def __init__(self, config: RewardFunction, allow_remote: bool) -> None:
        """Raises ConfigError: the judge is elsewhere and that is not allowed, or its key is not set."""
        assert config.judge is not None
        require_allowed(config.judge.url, allow_remote)
        self.label, self.timeout = config.label, config.timeout
        self.shared = [Criterion(one.criterion, one.points) for one in config.criteria]
        self.column = config.column or "rubric"
        self.names = [] if self.shared else [self.column]
        self.judge = Judge(config.judge, cache_root() / "judge")

    def prepare(self, rows: Sequence[PromptRow]) -> list[str]:
        """Raises DataError: a row without criteria that can be asked."""
        if not self.shared:
            who = f"reward {self.label} reads criteria from the column '{self.column}'"
            columns.require_usable(rows, self.column, who, problem, _FIX)
        return []

    def __call__(self, groups: Sequence[Group]) -> list[float | None]:
        """Scores of every answer, group by group; None where the judge gave no verdict.

        Raises:
            RunError: there is a verdict on no answer at all, or the judge refuses whatever is asked.
        """
        asked: list[tuple[Question, Sequence[Criterion]]] = []
        for group in groups:
            criteria = self.shared or criteria_of(columns.value(group.row, self.column))
            turns = [m.as_dict() for m in group.row.dialogue.messages]
            texts = [c.text for c in criteria]
            asked += [
                (Question(turns, Reply(a.text, group.row.thinking).answer, texts), criteria) for a in group.answers
            ]
        # Nobody has to be asked what an empty answer meets.
        spoken = [question for question, _ in asked if question.answer]
        self.judge.failures.clear()
        verdicts = iter(self.judge.ask(spoken, self.timeout))
        found = [
            scored(next(verdicts) if question.answer else (False,) * len(criteria), criteria)
            for question, criteria in asked
        ]
        if found and all(one is None for one in found):
            reasons = ", ".join(f"{words} ({n})" for words, n in self.judge.failures.most_common(3))
            raise RunError(
                f"reward {self.label}: the judge gave a verdict on none of {len(found)} answers: {reasons}. Look at the judge, or "
                "raise the reward's timeout. The last checkpoint is intact"
            )
        return found


def scored(verdicts: Sequence[bool] | None, criteria: Sequence[Criterion]) -> float | None:
    """Points of what is met by all points above 0; None without verdicts."""
    if verdicts is None:
        return None
    met = math.fsum(c.points for c, holds in zip(criteria, verdicts, strict=True) if holds)
    return met / math.fsum(c.points for c in criteria if c.points > 0)


def criteria_of(value: object) -> list[Criterion]:
    """The criteria of a row: a text, or a list of texts and of objects {criterion, points}, as HealthBench has them.

    Raises:
        ValueError: in words that say nothing of what the value is.
    """
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("whose value is no text and no list of criteria")
    if len(value) > _MOST:
        raise ValueError(f"whose value has more than {_MOST} criteria")
    found = [_criterion(one) for one in value]
    if not any(one.points > 0 for one in found):
        raise ValueError("none of whose criteria has points above 0")
    return found


def _criterion(value: object) -> Criterion:
    text, points, tags = value, 1.0, None
    if isinstance(value, Mapping):
        text, points, tags = value.get("criterion"), value.get("points", 1.0), value.get("tags")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("one of whose criteria has no text")
    if len(text) > _LONGEST:
        raise ValueError(f"one of whose criteria is longer than {_LONGEST} characters")
    if isinstance(points, bool) or not isinstance(points, int | float) or not math.isfinite(points) or not points:
        raise ValueError("one of whose criteria has points that are no number, or 0")
    if tags is not None and (not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags)):
        raise ValueError("one of whose criteria has tags that are no list of texts")
    return Criterion(text.strip(), float(points), tuple(dict.fromkeys(tags or ())))


def problem(value: object) -> str:
    """What is wrong with the criteria of a row; "" if nothing is."""
    try:
        criteria_of(value)
    except ValueError as error:
        return str(error)
    return ""
