"""Phases of a run: said, counted and timed, on a terminal and in a log; the time left counts them, too."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from medicalgpt.training import phases as module
from medicalgpt.training.phases import Ahead, Phases
from medicalgpt.training.supervised.callbacks import ProgressCallback


class Clock:
    """A clock that stands still between two readings unless it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def log() -> tuple[Phases, io.StringIO]:
    text = io.StringIO()
    return Phases(Console(file=text, width=200)), text


def test_a_log_gets_a_line_at_the_beginning_now_and_then_and_after_a_long_phase(clock: Clock) -> None:
    phases, text = log()
    for part in phases.over("held-out", "measuring", range(4), 4):
        clock.now += 15.0 if part else 1.0
    assert text.getvalue().splitlines() == [
        "measuring …", "measuring: 3/4, 10 s left", "measuring: took 46 s"
    ]  # fmt: skip
    assert (phases.seconds, phases.spent) == ({"held-out": 46.0}, 46.0)


def test_a_short_phase_says_what_it_does_and_no_more(clock: Clock) -> None:
    phases, text = log()
    with phases.during("samples", "answering 2 sample prompts"):
        clock.now += 2.0
    assert text.getvalue() == "answering 2 sample prompts …\n"


def test_other_processes_are_silent(clock: Clock) -> None:
    text = io.StringIO()
    phases = Phases(Console(file=text, quiet=True, force_terminal=True))
    with phases.during("loading", "loading x"):
        clock.now += 60.0
    assert text.getvalue() == ""
    assert phases.seconds == {"loading": 60.0}


def test_a_terminal_gets_a_bar_and_one_at_a_time() -> None:
    text = io.StringIO()
    phases = Phases(Console(file=text, force_terminal=True, width=100))
    with phases.during("loading", "loading x", 3) as update:
        update(2)
    assert "loading x" in text.getvalue()
    told: list[str] = []
    phases.tell = told.append
    at = len(text.getvalue())
    with phases.during("held-out", "measuring"):
        pass
    assert told == ["measuring …"]
    assert len(text.getvalue()) == at, "a second bar would tear the first one"


@pytest.mark.parametrize(
    ("every", "step", "steps", "rounds"),
    [(None, 0, 10, 0), (5, 0, 20, 3), (5, 5, 20, 2), (5, 19, 20, 0), (3, 2, 10, 3)],
)
def test_rounds_between_now_and_the_last_step(every: int | None, step: int, steps: int, rounds: int) -> None:
    assert module._rounds(every, step, steps) == rounds


def test_the_time_left_counts_steps_and_what_comes_between_and_after_them(clock: Clock) -> None:
    phases, text = log()
    with phases.during("held-out", "measuring"):
        clock.now += 120.0
    with phases.during("samples", "answering"):
        clock.now += 60.0
    progress: Any = ProgressCallback(phases, "sft", Ahead(eval_every=10, sample_every=None))
    state = SimpleNamespace(global_step=0, max_steps=40)
    progress.on_train_begin(None, state, None)
    clock.now += 10 * 30.0
    with phases.during("held-out", "measuring"):  # after step 10; it is no part of a step
        clock.now += 100.0
    state.global_step = 10
    progress.on_log(None, state, None, {"loss": 1.0, "tokens_per_second": 9.0})
    # 30 steps of 30 s, held-out rows after steps 20 and 30 and at the end, samples at the end
    left = 30 * 30 + 3 * 100 + 60
    assert left == 1260
    assert text.getvalue().splitlines()[-1] == "sft step 10/40  loss 1.0000  9 tokens/s  21 min left"
