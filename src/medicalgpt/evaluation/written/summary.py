"""Numbers of a test of written answers: nearness to references, or grades of a judge as HealthBench reports them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from medicalgpt.evaluation.outcomes import Outcome
from medicalgpt.evaluation.readings import RUBRIC, masked
from medicalgpt.runs.intervals import Estimate, mean, resampled, share

NEARNESS: Final = ("exact", "f1", "rouge_l")


@dataclass(frozen=True)
class Graded:
    """A mean over conversations, clipped to [0, 1], and its bootstrap standard error."""

    value: float
    standard_error: float
    rows: int


@dataclass(frozen=True)
class WrittenSummary:
    """A test's numbers. `used`: answers that have a score; `too_long`: items without room for an answer; `ungraded`: answers that
    a judge gave no verdict on, which are in no mean.

    `scores` and `by_subject`: means with bootstrap over items, `exact` with Wilson's interval. `tags`: of conversations and of
    criteria, as HealthBench has them.
    """

    used: int
    too_long: int
    ungraded: int
    scores: dict[str, Estimate]
    stop: Estimate
    repeats: Estimate
    masks: Estimate | None
    by_subject: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    standard_error: float | None = None
    tags: dict[str, Graded] = field(default_factory=dict)


def summarize_written(outcomes: Sequence[Outcome], headline: str) -> WrittenSummary:
    """Numbers of answers that were measured by `headline`: "rubric", or one of `NEARNESS`."""
    given = [outcome.given[0] for outcome in outcomes if outcome.given]
    usable = [outcome for outcome in outcomes if outcome.number(headline) is not None]
    subjects = sorted({outcome.subject for outcome in usable if outcome.subject})
    rubric = headline == RUBRIC
    return WrittenSummary(
        used=len(usable),
        too_long=len(outcomes) - len(given),
        ungraded=len(given) - len(usable),
        scores={name: mean_of(usable, name) for name in ((RUBRIC,) if rubric else NEARNESS)} if usable else {},
        stop=share(sum(one.stopped for one in given), len(given)),
        repeats=share(sum(one.repeats for one in given), len(given)),
        masks=masked(given),
        by_subject={s: {headline: mean_of([o for o in usable if o.subject == s], headline)} for s in subjects},
        standard_error=clipped(_numbers(usable, RUBRIC))[1] if rubric and usable else None,
        tags=_tags(usable),
    )


def mean_of(outcomes: Sequence[Outcome], scoring: str) -> Estimate:
    """The mean of a scoring over items: of right or wrong a share, of rubrics clipped."""
    numbers = _numbers(outcomes, scoring)
    if scoring == RUBRIC:
        return clipped(numbers)[0]
    if scoring == "exact":
        return share(float(numbers.sum()), len(numbers))
    return mean(numbers)


def clipped(scores: np.ndarray, seed: int = 0) -> tuple[Estimate, float]:
    """The mean [n] clipped to [0, 1] with a percentile bootstrap over conversations, and its bootstrap standard error.

    The standard error is HealthBench's (standard deviation of clipped means of resampled conversations), with a fixed seed and
    2,000 samples in place of 1,000.
    """
    value = float(np.clip(scores.mean(), 0, 1))
    draws = np.clip(resampled(scores, np.ones_like(scores), seed), 0, 1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(value, float(low), float(high), len(scores)), float(draws.std())


def _numbers(outcomes: Sequence[Outcome], scoring: str) -> np.ndarray:
    return np.asarray([outcome.number(scoring) for outcome in outcomes], float)


def _tags(outcomes: Sequence[Outcome]) -> dict[str, Graded]:
    found: dict[str, list[float]] = {}
    for outcome in outcomes:
        tags: Mapping[str, float] = outcome.given[0].tags
        for tag, score in tags.items():
            found.setdefault(tag, []).append(score)
    told = {}
    for tag in sorted(found):
        estimate, error = clipped(np.asarray(found[tag]))
        told[tag] = Graded(estimate.value, error, estimate.rows)
    return told
