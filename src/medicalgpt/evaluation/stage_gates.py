"""Gates on numbers of a stage itself: the same three verdicts as gates on tests, in the same table.

PASS: the bound of the number's interval keeps the limit. BLOCK: no PASS, and the number is beyond the limit, with 5 % for any
false one among all gates (Holm 1979). INCONCLUSIVE: neither, or the number was not measured.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from medicalgpt.config.evaluation import StageNumber
from medicalgpt.evaluation.gates import LEVEL, Verdict
from medicalgpt.evaluation.leakage.told import Leakage
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.runs.intervals import Estimate, Z, chance, resampled

UNITS: Final[dict[str, str]] = {
    "reward_accuracy": "%",
    "kl": "nats an answer",
    "answer_loss": "nats a token",
    "document_loss": "nats a token",
    "certificate": "",
    "leaks": "",
}


@dataclass(frozen=True)
class Measured:
    """A number of a stage with its bounds. `beyond`: the p of "it keeps the limit"; `note` says why there is no number."""

    value: float | None
    low: float | None
    high: float | None
    rows: int
    beyond: float
    note: str = ""


@dataclass(frozen=True)
class StageJudged:
    """A gate on a stage's number, with what was found. `block_p` is `measured.beyond`, corrected for the number of gates.

    `at_least`: the number must not fall below the limit; else it must not rise above it. A certificate has no limit here: its
    value is how many of its tolerances were exceeded.
    """

    number: StageNumber
    limit: float
    measured: Measured
    block_p: float

    @property
    def name(self) -> str:
        """Its name in tables."""
        return self.number

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return self.number == "reward_accuracy"

    @property
    def verdict(self) -> Verdict:
        """What the numbers say."""
        found = self.measured
        if found.value is None or found.low is None or found.high is None:
            return "INCONCLUSIVE"
        if found.low >= self.limit if self.at_least else found.high <= self.limit:
            return "PASS"
        missed = found.value < self.limit if self.at_least else found.value > self.limit
        return "BLOCK" if missed and self.block_p < LEVEL else "INCONCLUSIVE"

    def as_dict(self) -> JsonObject:
        """As JSON values."""
        found = self.measured
        return {
            "name": self.name,
            "number": self.number,
            "verdict": self.verdict,
            "limit": self.limit,
            "at_least": self.at_least,
            "p": self.block_p,
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "rows": found.rows,
            "note": found.note,
        }

    @property
    def line(self) -> str:
        """In words."""
        found, start = self.measured, f"{self.verdict:12} {self.number}: "
        if found.value is None or found.low is None or found.high is None:
            return start + f"not measured: {found.note}"
        if self.number == "certificate":
            return start + (found.note or "within tolerance")
        if self.number == "leaks":
            return start + f"{found.value:g} of {found.rows} places, at most {self.limit:g}"
        form = "{:.1%}" if self.at_least else "{:+.3f}" if self.number.endswith("loss") else "{:.3f}"
        value, low, high, limit = (form.format(x) for x in (found.value, found.low, found.high, self.limit))
        unit = "" if self.at_least else f" {UNITS[self.number]}"
        may = f"at least {limit}" if self.at_least else f"may rise {limit}" if "+" in form else f"at most {limit}"
        return start + f"{value}{unit} [{low}, {high}], {may}; {found.rows} rows"


def unmeasured(note: str) -> Measured:
    """No number, and why."""
    return Measured(None, None, None, 0, 1.0, note)


def of_accuracy(found: Estimate, limit: float) -> Measured:
    """Share of held-out pairs that are told rightly; exact binomial p.

    Args:
        limit: the least share.
    """
    if not found.rows:
        return unmeasured("no pairs are held out")
    hits = math.ceil(found.value * found.rows - 1e-9)  # half a pair counts as a whole one, which blocks less
    terms = [
        math.lgamma(found.rows + 1)
        - math.lgamma(k + 1)
        - math.lgamma(found.rows - k + 1)
        + k * math.log(limit)
        + (found.rows - k) * math.log1p(-limit)
        for k in range(hits + 1)
    ]
    beyond = min(1.0, math.fsum(map(math.exp, terms)))
    return Measured(found.value, found.low, found.high, found.rows, beyond)


def of_mean(found: Estimate, limit: float) -> Measured:
    """A mean that may be at most `limit`; the p by the normal distribution whose 95 % interval is the number's."""
    error = (found.high - found.low) / (2 * Z)
    if error > 0:
        beyond = 1 - NormalDist().cdf((found.value - limit) / error)
    else:
        beyond = 0.0 if found.value > limit else 1.0
    return Measured(found.value, found.low, found.high, found.rows, beyond)


def of_losses(before: np.ndarray, after: np.ndarray, limit: float, seed: int = 0) -> Measured:
    """By how much a loss rose on the same rows: paired bootstrap, 90 % between the bounds, so 95 % on each side.

    Args:
        before, after: Σ of losses and number of tokens [rows, 2].
        limit: nats a token by which it may rise.

    Raises:
        ValueError: other rows before than after, or none.
    """
    if before.shape != after.shape or not len(before):
        raise ValueError(f"{len(before)} rows before and {len(after)} after; as many are needed, and at least one")
    value = float(after[:, 0].sum() / after[:, 1].sum() - before[:, 0].sum() / before[:, 1].sum())
    draws = resampled(after[:, 0], after[:, 1], seed) - resampled(before[:, 0], before[:, 1], seed)
    low, high = np.quantile(draws, [0.05, 0.95])
    return Measured(value, float(low), float(high), len(before), chance(draws <= limit))


def of_certificate(verdict: object, excess: list[str]) -> Measured:
    """A merge's certificate: within its tolerances, or allowed to drift, which no gate lets pass."""
    if verdict == "within tolerance" and not excess:
        return Measured(0.0, 0.0, 0.0, 1, 1.0)
    over = float(max(1, len(excess)))
    return Measured(over, over, over, 1, 0.0, "; ".join(excess) or str(verdict))


def of_leaks(found: Leakage, limit: float) -> Measured:
    """How many leaks there are, which is counted and not estimated; no number where none was found of what it did not learn."""
    if found.leaks > limit or not found.note:
        value = float(found.leaks)
        return Measured(value, value, value, found.places, 0.0 if value > limit else 1.0)
    return unmeasured(found.note)
