"""What a model made of a test: its picks, and the shares that are right, with intervals."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from medicalgpt.data.formats.options import LETTERS
from medicalgpt.evaluation.choices import Scored
from medicalgpt.evaluation.readings import ENDINGS, EXACT, MEANS, REFUSAL, Given, is_right
from medicalgpt.evaluation.readings import SCORINGS as ANSWER_SCORINGS
from medicalgpt.refusals.conduct import rightly
from medicalgpt.runs.intervals import Estimate, share

JsonObject = dict[str, Any]
REFUSE: Final = 0
"""Place of refusing among the two things a model may do with a request; the other is to answer."""
ANSWER: Final = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is kept of an item: no word of it. `orders` is empty for an item that was too long for the context; `given` is what
    the model wrote, nothing where it was not asked to, or an answer had no room.

    `each`: the item is several requests, `orders` and `given` are theirs and `gold` has one place for each of them.
    """

    id: str
    gold: tuple[int, ...]
    subject: str
    orders: list[Scored] = field(default_factory=list)
    together: bool = False
    given: tuple[Given, ...] = ()
    each: bool = False

    @property
    def answer(self) -> Given | None:
        """What the model wrote to the first or only question."""
        return self.given[0] if self.given else None

    @property
    def single(self) -> bool:
        """Whether one option answers it, so that the likeliest one can."""
        return not self.together

    def pick(self, scoring: str, order: int = 0) -> int:
        """Place in the item of the likeliest option by a scoring of `SCORINGS`; of equal ones the first."""
        scored = self.orders[order]
        return scored.order[int(np.argmax(SCORINGS[scoring](scored)))]

    def right(self, scoring: str) -> bool | None:
        """Whether it is right by a scoring of likelihoods or of answers, or an answer ended well (`stop`, `no_repeats`); of
        several requests, every one of them.

        None where the item has no such number.
        """
        if scoring in (*ANSWER_SCORINGS, *ENDINGS, REFUSAL, EXACT):
            return all(self._well(scoring, one, place) for place, one in enumerate(self.given)) if self.given else None
        if not self.single or not self.orders:
            return None
        if self.each:
            return all(self.pick(scoring, place) == gold for place, gold in enumerate(self.gold))
        return self.pick(scoring) in self.gold

    def number(self, scoring: str) -> float | None:
        """Its number by a scoring: a mark of its answer, else 1 where it is right and 0 where not. None where it has none."""
        if scoring in MEANS:
            return self.given[0].marks.get(scoring) if self.given else None
        right = self.right(scoring)
        return None if right is None else float(right)

    def _well(self, scoring: str, given: Given, place: int) -> bool:
        """Whether one answer is right, or ended well."""
        if scoring in ENDINGS:
            return given.stopped if scoring == "stop" else not given.repeats
        if scoring == EXACT:
            return given.marks[EXACT] == 1
        if scoring == REFUSAL:
            return given.did is not None and rightly(given.did, self.gold[place] == REFUSE)
        return is_right(given.places(scoring), self.gold, self.together)


def _raw(name: str) -> Callable[[Scored], Sequence[float]]:
    return lambda scored: scored.logps[name]


def sides(scored: Scored) -> list[float]:
    """Log of the probability to begin as refusals do, and as answers do, from the log-likelihoods of all openers."""
    values = np.asarray(scored.logps["openers"])
    return [float(np.logaddexp.reduce(half)) for half in np.split(values, 2)]


SCORINGS: Final[Mapping[str, Callable[[Scored], Sequence[float]]]] = {
    "letter": _raw("letter"),
    "letter_spaced": _raw("spaced"),
    "text": _raw("text"),
    "text_per_token": lambda scored: [x / n for x, n in zip(scored.logps["text"], scored.tokens)],
    "text_per_byte": lambda scored: [x / n for x, n in zip(scored.logps["text"], scored.bytes)],
    "openers": sides,
}
_NEEDS: Final = {"letter": "letter", "letter_spaced": "spaced", "openers": "openers"}


def scorings_in(outcomes: Iterable[Outcome]) -> list[str]:
    """The scorings that all of these were measured with."""
    names: set[str] | None = None
    for outcome in outcomes:
        for scored in outcome.orders:
            names = set(scored.logps) if names is None else names & set(scored.logps)
    return [name for name in SCORINGS if _NEEDS.get(name, "text") in (names or ())]


@dataclass(frozen=True)
class Summary:
    """A test's numbers. `used`: items that were scored; `multiple`: items with several right options, which no likeliest
    option can answer; `too_long`: items that do not fit into the context. Neither of the two is in `used`."""

    used: int
    multiple: int
    too_long: int
    scores: dict[str, Estimate]
    by_subject: dict[str, dict[str, Estimate]]
    letters: dict[str, float]
    consistent: Estimate | None
    all_orders: Estimate | None


def summarize(outcomes: Sequence[Outcome], headline: str) -> Summary:
    """Shares of right picks with Wilson's intervals, by subject too; over several orders how often the pick stays.

    Args:
        headline: the scoring by which subjects, letters and orders are told.
    """
    usable = [o for o in outcomes if o.orders and o.single]
    scores = {name: _right(usable, name) for name in scorings_in(usable)}
    subjects = sorted({o.subject for o in usable if o.subject})
    by_subject = {s: {headline: _right([o for o in usable if o.subject == s], headline)} for s in subjects}
    several = [o for o in usable if len(o.orders) > 1]
    stays = sum(len({o.pick(headline, i) for i in range(len(o.orders))}) == 1 for o in several)
    return Summary(
        used=len(usable),
        multiple=sum(not o.single for o in outcomes),
        too_long=sum(not o.orders for o in outcomes if o.single),
        scores=scores,
        by_subject=by_subject,
        letters=_letters(usable, headline),
        consistent=share(stays, len(several)) if several else None,
        all_orders=_over_orders(several, headline) if several else None,
    )


def _right(outcomes: Sequence[Outcome], scoring: str) -> Estimate:
    return share(sum(bool(o.right(scoring)) for o in outcomes), len(outcomes))


def _over_orders(outcomes: Sequence[Outcome], scoring: str) -> Estimate:
    """Mean accuracy over orders; an item is one observation, so its orders give it no smaller an interval."""
    means = [np.mean([o.pick(scoring, i) in o.gold for i in range(len(o.orders))]) for o in outcomes]
    return share(float(np.sum(means)), len(outcomes))


def _letters(outcomes: Sequence[Outcome], scoring: str) -> dict[str, float]:
    """How often each place was picked, over all orders: without a pull each as often as the others."""
    counted: Counter[str] = Counter()
    for outcome in outcomes:
        for number, scored in enumerate(outcome.orders):
            counted[LETTERS[scored.order.index(outcome.pick(scoring, number))]] += 1
    total = sum(counted.values())
    return {letter: counted[letter] / total for letter in sorted(counted)}
