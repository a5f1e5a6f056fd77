"""Learning-rate schedules by numbers worked out by hand."""

import math

import pytest

from medicalgpt.training.schedule import factor, warmup_steps

KINDS = ["cosine", "linear", "constant", "wsd"]


def test_warmup_is_a_share_below_one_and_a_count_from_one() -> None:
    assert warmup_steps(0.03, 100) == 3
    assert warmup_steps(0.03, 10) == 1  # 0.3 of a step is a step
    assert warmup_steps(0.0, 100) == 0
    assert warmup_steps(1.0, 100) == 1
    assert warmup_steps(25, 100) == 25
    assert warmup_steps(500, 100) == 100  # a run cannot warm up longer than it lasts


@pytest.mark.parametrize("kind", KINDS)
def test_warmup_rises_evenly_and_never_starts_at_zero(kind: str) -> None:
    # Three steps of warm-up: a quarter, a half, three quarters, then the peak.
    assert [factor(s, 100, 3, kind) for s in range(4)] == [0.25, 0.5, 0.75, 1.0]  # type: ignore[arg-type]
    assert factor(0, 100, 0, kind) == 1.0  # type: ignore[arg-type]


def test_cosine() -> None:
    # 10 steps after 2 of warm-up: progress 0, 1/8, …; ½(1 + cos(π·4/8)) = ½ in the middle.
    assert factor(2, 10, 2, "cosine") == 1.0
    assert factor(6, 10, 2, "cosine") == pytest.approx(0.5)
    assert factor(4, 10, 2, "cosine") == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    # The last step still learns: ½(1 + cos(7π/8)) = 0.0380602
    assert factor(9, 10, 2, "cosine") == pytest.approx(0.0380602, abs=1e-7)
    assert factor(10, 10, 2, "cosine") == pytest.approx(0.0, abs=1e-12)


def test_linear() -> None:
    assert [factor(s, 5, 0, "linear") for s in range(6)] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.0])


def test_constant() -> None:
    assert {factor(s, 10, 0, "constant") for s in range(11)} == {1.0}


def test_wsd_holds_and_decays_over_the_last_fifth() -> None:
    # Of 20 steps the last 4 decay: 4/4, 3/4, 2/4, 1/4.
    found = [factor(s, 20, 2, "wsd") for s in range(20)]
    assert found[2:17] == [1.0] * 15
    assert found[17:] == pytest.approx([0.75, 0.5, 0.25])
    assert factor(20, 20, 2, "wsd") == 0.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1, 100])
def test_every_step_of_every_run_learns_at_most_at_the_peak(kind: str, steps: int, warmup: float) -> None:
    factors = [factor(s, steps, warmup, kind) for s in range(steps)]  # type: ignore[arg-type]
    assert all(0 < f <= 1 for f in factors)
    assert factor(steps, steps, warmup, kind) >= 0  # type: ignore[arg-type]
