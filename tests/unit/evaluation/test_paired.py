"""Paired differences against numbers worked out elsewhere, and gates against simulation."""

import math

import numpy as np
import pytest

from medicalgpt.evaluation.gates import Judged
from medicalgpt.evaluation.paired import Difference, at_least, holm, of_answers, of_means, score_bounds


def changed(won: int, lost: int, same: int) -> tuple[np.ndarray, np.ndarray]:
    before = np.array([False] * won + [True] * lost + [True] * same)
    after = np.array([True] * won + [False] * lost + [True] * same)
    return before, after


def test_mcnemar_by_hand() -> None:
    # 1 of 5 changed items won, 4 lost: P(X >= 4 | 5, 1/2) = (5 + 1) / 32.
    assert at_least(4, 5) == pytest.approx(6 / 32, rel=1e-12)
    assert at_least(0, 0) == 1.0
    assert at_least(0, 9) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(("count", "of"), [(3, 7), (60, 100), (900, 1700), (1, 1)])
def test_mcnemar_is_the_exact_binomial(count: int, of: int) -> None:
    exact = sum(math.comb(of, k) for k in range(count, of + 1)) / 2**of if of < 1000 else None
    if exact is None:  # too large for a float quotient: integers, then one division
        exact = float(sum(math.comb(of, k) for k in range(count, of + 1)) * 10**30 // 2**of) / 10**30
    assert at_least(count, of) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(("won", "lost", "rows"), [(12, 2, 44), (3, 9, 40), (300, 340, 2000), (1, 0, 14)])
def test_score_bounds_solve_the_score_equation(won: int, lost: int, rows: int) -> None:
    """Against the definition: the likelihood maximized on a fine grid under won - lost = delta, not by Tango's formula."""
    for bound, z in zip(score_bounds(won, lost, rows), (1.6448536, -1.6448536)):
        q = np.linspace(max(0.0, -bound), (1 - bound) / 2, 2_000_001)[1:-1]  # share lost; won is q + bound
        with np.errstate(divide="ignore"):
            terms = [
                (n, np.log(p)) for n, p in ((won, q + bound), (lost, q), (rows - won - lost, 1 - 2 * q - bound)) if n
            ]
        best = q[np.argmax(sum(n * log for n, log in terms))]
        statistic = (won - lost - rows * bound) / math.sqrt(rows * (2 * best + bound - bound**2))
        assert statistic == pytest.approx(z, abs=2e-3)


@pytest.mark.parametrize(("won", "lost", "rows"), [(0, 0, 50), (5, 0, 20), (0, 5, 20), (300, 340, 2000), (1, 1, 2)])
def test_score_bounds_are_where_the_statistic_has_its_quantile(won: int, lost: int, rows: int) -> None:
    low, high = score_bounds(won, lost, rows)
    center = (won - lost) / rows
    assert -1 <= low <= center <= high <= 1
    mirrored = score_bounds(lost, won, rows)
    assert (low, high) == (pytest.approx(-mirrored[1], abs=1e-9), pytest.approx(-mirrored[0], abs=1e-9))
    if won + lost:
        wider = score_bounds(won, lost, rows, z=1.96)
        assert wider[0] < low
        assert wider[1] > high


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_means_keep_clusters_together() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(size=400)
    cluster = np.repeat(np.arange(20), 20)
    after = before + np.repeat(rng.normal(size=20), 20)  # one change a case
    alone, together = of_means(before, after), of_means(before, after, cluster)
    assert together.high - together.low > 2 * (alone.high - alone.low)
    with pytest.raises(ValueError, match="0 items before and 1 after"):
        of_means(np.empty(0), np.ones(1))


def judged(difference: Difference, margin: float = 2.0, gates: int = 1) -> str:
    return Judged("x", margin, difference, holm([difference.worse] * gates)[0]).verdict


def test_verdicts() -> None:
    assert judged(of_answers(*changed(200, 190, 3000))) == "PASS"
    assert judged(of_answers(*changed(100, 300, 3000))) == "BLOCK"
    few = of_answers(*changed(8, 10, 80))
    assert judged(few) == "INCONCLUSIVE"
    assert few.needed(0.02) == math.ceil((1.6448536 + 0.8416212) ** 2 * (18 / 98) / 0.0004)
    # As many are there already as an unchanged model needs: this one lost 3 of 400 and changed 7.
    lost = of_answers(*changed(2, 5, 393))
    assert judged(lost) == "INCONCLUSIVE"
    assert lost.needed(0.02) == math.ceil((1.6448536 + 0.8416212) ** 2 * (7 / 400 - 0.0075**2) / 0.0125**2) == 691
    worse = of_answers(*changed(2, 12, 588))  # not blocked where it is one of twenty gates
    assert judged(worse, margin=1.6, gates=20) == "INCONCLUSIVE"
    assert worse.needed(0.016) is None
    better = of_answers(*changed(40, 0, 20))
    assert judged(better) == "PASS"


def verdict_shares(rows: int, points: float, moved: float, runs: int = 400) -> dict[str, float]:
    rng = np.random.default_rng(1)
    lost = (moved - points / 100) / 2
    found = []
    for _ in range(runs):
        draws = rng.multinomial(rows, [moved - lost, lost, 1 - moved])
        found.append(judged(of_answers(*changed(*map(int, draws)))))
    return {v: found.count(v) / runs for v in set(found)}


def test_gates_by_simulation() -> None:
    # Design: a false block in at most 5 % of unchanged models, a block at -4 points with 3,400 items in at least 90 %.
    assert verdict_shares(3400, 0.0, 0.2).get("BLOCK", 0) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    assert verdict_shares(3400, -4.0, 0.2).get("BLOCK", 0) >= 0.9
    assert verdict_shares(300, -1.0, 0.2).get("INCONCLUSIVE", 0) > 0.5
