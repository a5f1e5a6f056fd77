"""Two models on the same items: the difference, how sure it is, and how many items would make it sure.

Items are paired, so what both models get right or wrong says nothing: only those that changed count.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from medicalgpt.runs.intervals import chance, resampled

Z_ONE_SIDED: Final = 1.6448536269514722
"""95 % quantile of the normal distribution."""
_POWER: Final = 0.8416212335729143  # 80 %


@dataclass(frozen=True)
class Difference:
    """After minus before, as shares or means. `low` and `high` are one-sided 95 % bounds each; `worse` is the one-sided p of
    "not worse"; `changed` the share of items that changed, `rows` how many items there are; `spread` the mean square of the
    items' differences, where they are not whole.

    More is better in all of them. With `lower_is_better` what they count is the absence of something, of which `told` speaks.
    """

    value: float
    low: float
    high: float
    worse: float
    changed: float
    rows: int
    lower_is_better: bool = False
    spread: float | None = None

    @property
    def told(self) -> tuple[float, float, float]:
        """Value and bounds of what users hear of: a rise is a rise, also where it is bad."""
        found = (self.value, self.low, self.high)
        # 0 − x, as −x of nothing at all would be told as −0.0.
        return (0 - self.value, 0 - self.high, 0 - self.low) if self.lower_is_better else found

    def needed(self, margin: float) -> int | None:
        """Items with which a model would pass `margin` (a share) with 80 %, if they change as these: an unchanged one, or where there
        are as many already, one that is as different as this. None where such a one would not pass with any number."""
        spread = max(self.changed if self.spread is None else self.spread, 1 / self.rows)
        wanted = (Z_ONE_SIDED + _POWER) ** 2
        unchanged = math.ceil(wanted * spread / margin**2)
        if unchanged > self.rows:
            return unchanged
        if self.value <= -margin:
            return None
        return math.ceil(wanted * (spread - self.value**2) / (margin + self.value) ** 2)


def of_answers(before: np.ndarray, after: np.ndarray) -> Difference:
    """Right (True) or wrong [n] before and after: score bounds (Tango 1998) and the exact test of McNemar (1947).

    Raises:
        ValueError: no items, or not as many before as after.
    """
    _check(before, after)
    lost = int(np.sum(before & ~after))
    won = int(np.sum(~before & after))
    rows = len(before)
    low, high = score_bounds(won, lost, rows)
    return Difference((won - lost) / rows, low, high, at_least(lost, won + lost), (won + lost) / rows, rows)


def of_means(before: np.ndarray, after: np.ndarray, clusters: np.ndarray | None = None, seed: int = 0) -> Difference:
    """Numbers [n] before and after: percentile bootstrap over `clusters` [n] (passages, cases, documents), else items.

    Raises:
        ValueError: no items, or not as many before as after.
    """
    _check(before, after)
    gap = after.astype(float) - before.astype(float)
    _, number = np.unique(np.arange(len(gap)) if clusters is None else clusters, return_inverse=True)
    sums, counts = np.bincount(number, gap), np.bincount(number).astype(float)
    draws = resampled(sums, counts, seed)
    low, high = np.quantile(draws, [0.05, 0.95])
    worse = chance(draws >= 0)
    changed, spread = float(np.mean(gap != 0)), float(np.mean(gap**2))
    return Difference(float(gap.mean()), float(low), float(high), worse, changed, len(gap), spread=spread)


def _check(before: np.ndarray, after: np.ndarray) -> None:
    if len(before) != len(after) or not len(before):
        raise ValueError(f"{len(before)} items before and {len(after)} after; as many are needed, and at least one")


def at_least(count: int, of: int) -> float:
    """P(X ≥ count) of X ~ Binomial(of, 1/2): McNemar's exact one-sided p of `count` losses among `of` changed items."""
    if not of:
        return 1.0
    logs = [math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) for k in range(count, of + 1)]
    return min(1.0, math.fsum(math.exp(log - of * math.log(2)) for log in logs))


def score_bounds(won: int, lost: int, rows: int, z: float = Z_ONE_SIDED) -> tuple[float, float]:
    """Bounds of (won − lost) / rows where the score statistic is ±z (Tango 1998, Statistics in Medicine 17)."""
    center = (won - lost) / rows

    def statistic(delta: float) -> float:
        a = 2 * rows
        b = -won - lost + (2 * rows - won + lost) * delta
        c = -lost * delta * (1 - delta)
        nuisance = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = rows * (2 * nuisance + delta * (1 - delta))
        gap = won - lost - rows * delta
        return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap) if gap else 0.0

    return _root(statistic, z, -1.0, center), _root(statistic, -z, center, 1.0)


def _root(statistic: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Where a falling function has a value, by bisection to the last bits."""
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if statistic(middle) > level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def holm(values: list[float]) -> list[float]:
    """P-values corrected for being several (Holm 1979): below 0.05 keeps the chance of any false one at 5 %."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found, least = [0.0] * len(values), 0.0
    for rank, number in enumerate(order):
        least = max(least, min(1.0, (len(values) - rank) * values[number]))
        found[number] = least
    return found
