"""Answers graded by a judge against the rubric of their conversation, with HealthBench's arithmetic (arXiv 2505.08775).

Score of a conversation = Σ points of criteria that are met / Σ points above 0, which may lie below 0; of a tag of criteria the
same over the criteria that have it, where one of them has points above 0. An answer without a verdict has no score, never 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from medicalgpt.config.evaluation import GraderConfig
from medicalgpt.disk.cache import cache_root
from medicalgpt.errors import RunError
from medicalgpt.evaluation.written.items import Written
from medicalgpt.rewards.judge import TRIES, Judge, Question, Verdicts
from medicalgpt.rewards.posting import require_allowed
from medicalgpt.rewards.rubric import Criterion, scored

_SILENT: Final = 4
"""So many answers, or more, that a judge says nothing on, none but these, are a judge that is not there."""


@dataclass(frozen=True)
class Grade:
    """What a judge said of an answer: its score, that under every tag, and which criteria are met."""

    score: float
    tags: dict[str, float]
    met: tuple[bool, ...]


@dataclass
class Grader:
    """A judge that grades answers, from its cache where it can.

    Args:
        fresh: ask again what was asked before, and keep nothing.

    Raises:
        ConfigError: the judge is elsewhere and that is not allowed, or its key is not set.
    """

    config: GraderConfig
    fresh: bool = False
    judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        require_allowed(self.config.url, self.config.allow_remote, "the judge", "--allow-remote (allow_remote=true)")
        cache = None if self.fresh else cache_root() / "judge"
        self.judge = Judge(self.config, cache, afterwards="What was graded until now is kept")

    def verdicts(self, asked: Sequence[tuple[Written, str]]) -> list[Verdicts | None]:
        """What the judge says of answers to conversations, None where it says nothing clear; of no answer at all, nothing is met.

        Asked one by one, an answer has verdicts where there is one on each of its criteria.

        Raises:
            RunError: it is silent on all of several answers, or refuses whatever is asked.
        """
        each = [_questions(item, answer, self.config.one_by_one) for item, answer in asked]
        spoken = [question for questions in each for question in questions if question.answer]
        rounds = math.ceil(len(spoken) / self.config.parallel)
        failures = self.judge.failures.copy()
        found = iter(self.judge.ask(spoken, (self.config.timeout + 1) * TRIES * max(1, rounds)))
        verdicts = [_together([next(found) if q.answer else (False,) * len(q.criteria) for q in qs]) for qs in each]
        if len(verdicts) >= _SILENT and all(one is None for one in verdicts):
            reasons = (self.judge.failures - failures).most_common(3)
            raise RunError(
                f"the judge at {self.judge.url} gave a verdict on none of {len(verdicts)} answers: "
                f"{', '.join(f'{words} ({n})' for words, n in reasons)}. Look at the judge, then give the same command again: "
                "what was graded until now is kept"
            )
        return verdicts

    def grade(self, asked: Sequence[tuple[Written, str]]) -> list[Grade | None]:
        """Grades of answers; None where the judge gave no verdict. Raises RunError as `verdicts`."""
        return [
            None if verdict is None else grade(item.criteria, verdict, item.tags)
            for (item, _), verdict in zip(asked, self.verdicts(asked))
        ]


def _questions(item: Written, answer: str, one_by_one: bool) -> list[Question]:
    """What is asked about an answer: all criteria at once, or each alone."""
    turns, texts = [turn.as_dict() for turn in item.turns], [one.text for one in item.criteria]
    return [Question(turns, answer, some) for some in ([[text] for text in texts] if one_by_one else [texts])]


def _together(parts: Sequence[Verdicts | None]) -> Verdicts | None:
    """Verdicts on parts of the criteria as one; None where one of them is missing."""
    whole = [one for part in parts if part is not None for one in part]
    return None if None in parts else tuple(whole)


def grade(criteria: Sequence[Criterion], met: Verdicts, tags: Sequence[str] = ()) -> Grade:
    """The arithmetic, from verdicts; `tags` are of the conversation, and count with its whole score."""
    score = scored(met, criteria)
    assert score is not None  # there are verdicts
    found = dict.fromkeys(tags, score)
    for tag in dict.fromkeys(tag for one in criteria for tag in one.tags):
        mine = [(one, holds) for one, holds in zip(criteria, met, strict=True) if tag in one.tags]
        if any(one.points > 0 for one, _ in mine):
            value = scored([holds for _, holds in mine], [one for one, _ in mine])
            assert value is not None
            found[tag] = value
    return Grade(score, found, met)
