"""Which step is the best, and when patience is at its end, from the numbers alone."""

import json
from pathlib import Path

import pytest

from medicalgpt.errors import ConfigError
from medicalgpt.training.best import BestSoFar, Criterion


def watched(*values: float | None, goal: str = "eval/loss", patience: int | None = 2) -> BestSoFar:
    best = BestSoFar(Criterion.of(goal), patience, 10)
    for number, value in enumerate(values):
        best.see(10 * number, {best.criterion.name: value})
    return best


@pytest.mark.parametrize(
    ("asked", "name", "goal"),
    [
        ("eval/loss", "eval/loss", "min"),
        ("eval/answer_loss", "eval/answer_loss", "min"),
        ("eval/rewards/accuracy", "eval/rewards/accuracy", "max"),
        ("eval/score_low", "eval/score_low", "max"),
        ("eval/parts/exact", "eval/parts/exact", "max"),
        ("min:eval/kl", "eval/kl", "min"),
        ("max:eval/loss", "eval/loss", "max"),
    ],
)
def test_the_direction(asked: str, name: str, goal: str) -> None:
    assert Criterion.of(asked) == Criterion(name, goal)  # type: ignore[arg-type]  # a parameter of text


@pytest.mark.parametrize("asked", ["eval/kl", "eval/length", "eval/mine"])
def test_an_unknown_direction_is_asked_for(asked: str) -> None:
    with pytest.raises(ConfigError, match=f"write min:{asked} or max:{asked}"):
        Criterion.of(asked)


@pytest.mark.parametrize(
    ("values", "step", "exhausted"),
    [
        ((3.0,), 0, False),
        ((3.0, 2.0, 2.5), 10, False),
        ((3.0, 2.0, 2.0, 2.0), 10, True),
        ((3.0, 2.0, 2.5, 1.9, 2.0), 30, False),
        ((3.0, 2.0, float("nan"), float("inf")), 10, True),
        ((float("nan"), 5.0), 10, False),
        ((float("nan"), float("nan"), float("nan")), None, True),
        ((1.0, 2.0, 2.0), 0, True),
    ],
)
def test_the_best_step_and_the_end_of_patience(values: tuple[float, ...], step: int | None, exhausted: bool) -> None:
    found = watched(*values)
    assert (found.step, found.exhausted) == (step, exhausted)
    assert not watched(*values, patience=None).exhausted


def test_a_step_counts_once_however_often_it_is_told() -> None:
    best = watched(3.0, 2.0)
    for _ in range(3):
        best.see(10, {"eval/loss": 9.0})
    assert (best.step, best.exhausted, len(best.history)) == (10, False, 2)


def test_the_log_tells_the_same(tmp_path: Path) -> None:
    """A number that was none is null there, and the end of a shorter run (step 15) does not count."""
    lines = [(0, 3.0), (10, None), (15, 1.0), (20, 2.0)]
    text = "".join(json.dumps({"step": step, "eval/loss": value}) + "\n" for step, value in lines)
    (tmp_path / "metrics.jsonl").write_text(text + json.dumps({"step": 30, "train/loss": 1.0}) + "\n")
    best = watched()
    best.replay(tmp_path / "metrics.jsonl")
    assert best.history == [(0, 3.0), (10, None), (20, 2.0)]


def test_what_is_not_measured_is_named_at_the_first_evaluation() -> None:
    best = BestSoFar(Criterion.of("max:eval/f1"), None, 10)
    with pytest.raises(ConfigError, match=r"measures no 'eval/f1'; held-out numbers are: eval/a, eval/loss$"):
        best.see(0, {"eval/loss": 1.0, "eval/a": 2.0, "train/loss": 3.0})


def test_why_it_ended() -> None:
    assert watched(3.0, 4.0).reached(90) == ""
    assert watched(3.0, 4.0, 5.0).reached(20) == "", "that was its last step anyway"
    assert watched(3.0, 4.0, 5.0).reached(90).startswith("stopped after step 20 of 90: 2 evaluations in a row")
