"""95 % intervals for the two kinds of number we report: ratios of sums over rows, and shares."""

import math
from dataclasses import dataclass

import numpy as np

Z = 1.959964  # two-sided 95 % of the normal distribution
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval and how many rows it rests on."""

    value: float
    low: float
    high: float
    rows: int


def ratio(sums: np.ndarray, counts: np.ndarray, seed: int = 0) -> Estimate:
    """Σ sums / Σ counts with a percentile bootstrap over rows (Efron 1979); a row keeps its own tokens together."""
    value = float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return Estimate(value, value, value, len(sums))
    low, high = np.quantile(resampled(sums, counts, seed), [0.025, 0.975])
    return Estimate(value, float(low), float(high), len(sums))


def resampled(sums: np.ndarray, counts: np.ndarray, seed: int = 0) -> np.ndarray:
    """Σ sums / Σ counts [RESAMPLES] of rows drawn with replacement: of as many rows always the same ones for a seed."""
    picks = np.random.default_rng(seed).integers(0, len(sums), (RESAMPLES, len(sums)))
    drawn: np.ndarray = sums[picks].sum(1) / counts[picks].sum(1)
    return drawn


def chance(against: np.ndarray) -> float:
    """p-value of a bootstrap: the share of draws [RESAMPLES] that speak against it. One is added above and below, as no number of
    draws proves that there is no chance at all (Davison & Hinkley 1997)."""
    return (float(np.sum(against)) + 1) / (len(against) + 1)


def mean(values: np.ndarray) -> Estimate:
    """The mean of numbers, one a row, with a percentile bootstrap over rows."""
    return ratio(values, np.ones_like(values))


def share(hits: float, rows: int) -> Estimate:
    """hits / rows with Wilson's interval (1927), which stays inside [0, 1] and is honest for few rows."""
    if rows == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    p = hits / rows
    center = (p + Z * Z / (2 * rows)) / (1 + Z * Z / rows)
    half = Z * math.sqrt(p * (1 - p) / rows + Z * Z / (4 * rows * rows)) / (1 + Z * Z / rows)
    return Estimate(p, max(0.0, center - half), min(1.0, center + half), rows)


def exp(estimate: Estimate) -> Estimate:
    """The estimate on the exponential scale: perplexity from a mean NLL."""
    return Estimate(math.exp(estimate.value), math.exp(estimate.low), math.exp(estimate.high), estimate.rows)
