"""Held-out numbers for people: intervals, shares as percentages, and whether a change is for the better."""

import pytest

from medicalgpt.runs.duration import duration
from medicalgpt.runs.headline import MEANINGS, headline, held_out_rows


def measured(name: str, value: float, low: float, high: float) -> dict[str, float | None]:
    return {f"eval/{name}": value, f"eval/{name}_low": low, f"eval/{name}_high": high}


def test_a_share_has_rows_interval_verdict_and_meaning() -> None:
    before = measured("rewards/accuracy", 0.5, 0.352, 0.648) | {"eval/rows": 40.0}
    after = measured("rewards/accuracy", 0.975, 0.871, 0.996) | {"eval/rows": 40.0}
    (line,) = headline(before, after)
    assert (line.before, line.before_interval) == ("50.0 %", "[35.2 %, 64.8 %]")
    assert (line.after, line.after_interval) == ("97.5 %", "[87.1 %, 99.6 %]")
    assert (line.change, line.verdict) == ("+47.5 points", "better")
    assert "not that what the model writes is medically right" in line.meaning
    assert held_out_rows(after) == 40
    assert held_out_rows({}) is None


@pytest.mark.parametrize(
    ("name", "old", "new", "verdict"),
    [
        ("loss", 2.5, 2.0, "better"),
        ("loss", 2.0, 2.5, "worse"),
        ("perplexity", 9.0, 8.0, "better"),
        ("accuracy", 0.4, 0.3, "worse"),
        ("stop_rate", 0.1, 0.9, "better"),
        ("kl", 0.0, 0.4, ""),
        ("length", 10.0, 90.0, ""),
        ("loss", 2.0, 2.0, ""),
    ],
)
def test_verdicts(name: str, old: float, new: float, verdict: str) -> None:
    (line,) = headline({f"eval/{name}": old}, {f"eval/{name}": new})
    assert line.verdict == verdict


def test_overlapping_intervals_may_be_chance() -> None:
    (line,) = headline(measured("score", 0.1, 0.0, 0.3), measured("score", 0.2, 0.1, 0.4))
    assert line.verdict == "unclear"
    (line,) = headline(measured("score", 0.1, 0.0, 0.15), measured("score", 0.2, 0.16, 0.4))
    assert line.verdict == "better"


def test_what_was_not_measured_is_a_dash_and_a_lone_bound_is_a_metric() -> None:
    lines = headline({"eval/old": 1.0, "eval/x_low": 1.0}, {"eval/new": None})
    assert [(line.name, line.before, line.after, line.change) for line in lines] == [
        ("eval/old", "1", "–", "–"), ("eval/x_low", "1", "–", "–"), ("eval/new", "–", "–", "–")
    ]  # fmt: skip


def test_no_meaning_claims_medical_correctness() -> None:
    for name in ("accuracy", "rewards/accuracy"):
        assert "medical" in MEANINGS[name]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (44.6, "45 s"),
        (99, "99 s"),
        (3420, "57 min"),
        (12_000, "3 h 20 min"),
        (7200, "2 h"),
        (187_000, "2 d 4 h"),
        (172_800, "2 d"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
