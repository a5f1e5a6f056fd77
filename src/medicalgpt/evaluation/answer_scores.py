"""What the answers to a test came to: shares that are right, that nothing could be read from, and that ended well."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medicalgpt.evaluation.outcomes import Outcome
from medicalgpt.evaluation.readings import ANSWER, SCORINGS, masked, partial
from medicalgpt.runs.intervals import Estimate, mean, share


@dataclass(frozen=True)
class Several:
    """Items with several right options: `exact` is the share of answers that name all of them and no other, `partial` the
    mean share of options that are both right and named among those that are either."""

    exact: Estimate
    partial: Estimate


@dataclass(frozen=True)
class AnswerSummary:
    """A test's answers. `used`: items that were answered, `too_long`: items whose answer had no room in the context.

    `scores` and `unparsed` are by scoring; what is unparsed counts as wrong. `stop`: answers that ended by themselves;
    `repeats`: answers that repeat themselves; `masks`: answers that hold a mark of masked personal data, as `[NAME1]`.
    """

    used: int
    too_long: int
    scores: dict[str, Estimate]
    unparsed: dict[str, Estimate]
    stop: Estimate
    repeats: Estimate
    masks: Estimate | None
    by_subject: dict[str, Estimate]
    several: Several | None


def summarize_answers(outcomes: Sequence[Outcome]) -> AnswerSummary:
    """Numbers of all items' answers, those with several right options among them."""
    usable = [o for o in outcomes if o.answer is not None]
    given = [o.answer for o in usable if o.answer is not None]
    subjects = sorted({o.subject for o in usable if o.subject})
    return AnswerSummary(
        used=len(usable),
        too_long=len(outcomes) - len(usable),
        scores={name: _right(usable, name) for name in SCORINGS},
        unparsed={name: share(sum(not one.places(name) for one in given), len(given)) for name in SCORINGS},
        stop=share(sum(one.stopped for one in given), len(given)),
        repeats=share(sum(one.repeats for one in given), len(given)),
        masks=masked(given),
        by_subject={s: _right([o for o in usable if o.subject == s], ANSWER) for s in subjects},
        several=_several([o for o in usable if o.together]),
    )


def _right(outcomes: Sequence[Outcome], scoring: str) -> Estimate:
    return share(sum(o.right(scoring) is True for o in outcomes), len(outcomes))


def _several(outcomes: Sequence[Outcome]) -> Several | None:
    if not outcomes:
        return None
    parts = np.asarray([partial(one.places(ANSWER), o.gold) for o in outcomes for one in o.given])
    return Several(_right(outcomes, ANSWER), mean(parts))
