"""The best of a run's held-out numbers: whose step's model is published, and when waiting for a better one ends (early stopping).

Both follow from the numbers alone, which metrics.jsonl keeps, so a run that goes on decides as one that was never stopped.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import nn

from medicalgpt.checkpoints import checkpoint
from medicalgpt.config.base import StageConfig
from medicalgpt.config.rl import RlConfig
from medicalgpt.errors import ConfigError
from medicalgpt.runs import metrics
from medicalgpt.runs.folder import RunFolder
from medicalgpt.runs.headline import better_when
from medicalgpt.runs.manifest import BestStep


@dataclass(frozen=True)
class Criterion:
    """A held-out number by its name in metrics.jsonl, and whether more or less of it is better."""

    name: str
    goal: Literal["min", "max"]

    @classmethod
    def of(cls, asked: str) -> "Criterion":
        """What `train.keep_best` asks for: a name, or `min:NAME` or `max:NAME`.

        Raises:
            ConfigError: nobody says which direction is better.
        """
        for goal in ("min", "max"):
            if asked.startswith(f"{goal}:"):
                return cls(asked.removeprefix(f"{goal}:"), goal)
        known = better_when(asked)
        if known is None:
            raise ConfigError(
                f"train.keep_best={asked}: it is not known whether more or less of it is better; write min:{asked} or max:{asked}"
            )
        return cls(asked, known)

    def better(self, new: float, old: float) -> bool:
        """Whether `new` is better than `old`; equal is not."""
        return new < old if self.goal == "min" else new > old


@dataclass
class BestSoFar:
    """The number of a criterion at every evaluation so far, step 0 included; None where it was not finite."""

    criterion: Criterion
    patience: int | None
    every: int
    """Steps between two evaluations. A longer run does not count the one at the end of the shorter one."""
    history: list[tuple[int, float | None]] = field(default_factory=list)

    def see(self, step: int, numbers: Mapping[str, float | None]) -> None:
        """Note the numbers of an evaluation, once a step.

        Raises:
            ConfigError: at the first one: there is no number of this name; the message lists those there are.
        """
        if self.history and step <= self.history[-1][0]:
            return
        name = self.criterion.name
        if not self.history and name not in numbers:
            there = ", ".join(sorted(key for key in numbers if key.startswith("eval/"))) or "none"
            raise ConfigError(f"train.keep_best: this run measures no {name!r}; held-out numbers are: {there}")
        value = numbers.get(name)
        self.history.append((step, value if value is not None and math.isfinite(value) else None))

    def replay(self, log: Path) -> None:
        """Take up what a run had measured before it goes on from a checkpoint; `log` is rewound to that."""
        self.history.clear()
        for line in metrics.read(log):
            if line["step"] % self.every == 0 and any(key.startswith("eval/") for key in line):
                self.see(line["step"], line)

    @property
    def ranking(self) -> list[tuple[int, float]]:
        """Steps with their numbers, the best first, of equal ones the earlier."""
        sign = 1 if self.criterion.goal == "min" else -1
        return sorted(((s, v) for s, v in self.history if v is not None), key=lambda one: (sign * one[1], one[0]))

    @property
    def step(self) -> int | None:
        """The best step so far; None where no number was finite."""
        return self.ranking[0][0] if self.ranking else None

    @property
    def exhausted(self) -> bool:
        """Whether `patience` evaluations in a row brought nothing better."""
        if self.patience is None:
            return False
        steps = [step for step, _ in self.history]
        return len(steps) - 1 - (steps.index(self.step) if self.step is not None else 0) >= self.patience

    def reached(self, steps: int) -> str:
        """Why training ended after the last evaluation, of `steps` that were planned; "" where it came to its end."""
        last = self.history[-1][0] if self.history else 0
        if not self.exhausted or last >= steps:
            return ""
        return (
            f"stopped after step {last} of {steps}: {self.patience} evaluations in a row brought no better "
            f"{self.criterion.name} (train.patience={self.patience}; a larger one, or null, goes on)"
        )


def watch_best(config: StageConfig, held_out: Sequence[object] | None) -> BestSoFar | None:
    """What `train.keep_best` asks for; None where it asks for nothing.

    Raises:
        ConfigError: nothing is held out that could be measured, or the direction is not known.
    """
    t = config.train
    if t.keep_best is None or t.eval_every is None:
        return None
    criterion = Criterion.of(t.keep_best)
    if not held_out or (isinstance(config, RlConfig) and not config.train.eval_prompts):
        more = " and train.eval_prompts above 0" if isinstance(config, RlConfig) else ""
        raise ConfigError(
            f"train.keep_best={t.keep_best}, but nothing is held out that could be measured: set data.eval, or "
            f"data.eval_fraction above 0{more}, or leave train.keep_best out"
        )
    return BestSoFar(criterion, t.patience, t.eval_every)


def take_best(
    best: BestSoFar, folder: RunFolder, weights: Mapping[str, nn.Parameter], step: int, steps: int
) -> tuple[BestStep | None, list[str]]:
    """Give `weights`, which are those of `step`, the values they had at the best step.

    Returns:
        What the manifest says of it, and lines for people. None where no number was finite: then the last weights stay.
    """
    said = [line for line in (best.reached(steps),) if line]
    chosen = next(_there(best, folder, step, said), None)
    if chosen is None:
        return None, [
            *said,
            f"warning: {best.criterion.name} was never finite; the model of the last step is published",
        ]
    at, value = chosen
    if at != step:
        checkpoint.load_weights(folder.checkpoint_dir(at), weights)
    name = best.criterion.name
    if at == 0:
        said.append(
            f"warning: no step was better than the start, where {name} was {value:.4g}; the model as it was before step 1 is "
            "published"
        )
    else:
        said.append(f"the best {name} was {value:.4g} at step {at} of {step}; the model of that step is published")
    stopped = bool(best.reached(steps))
    return BestStep(metric=name, goal=best.criterion.goal, step=at, value=value, last=step, stopped=stopped), said


def _there(best: BestSoFar, folder: RunFolder, step: int, said: list[str]) -> Iterator[tuple[int, float]]:
    """The best steps whose weights can be read, the best first; a better one that is lost is said."""
    for at, value in best.ranking:
        lost = None if at == step else folder.fault(at)
        if lost is None:
            yield at, value
        else:
            said.append(f"warning: step {at} was better ({value:.4g}), but its checkpoint is lost: {lost}")


def kept(best: BestSoFar | None, folder: RunFolder) -> int | None:
    """The step whose checkpoint must stay when older ones go."""
    if best is None:
        return None
    return next((at for at, _ in best.ranking if folder.fault(at) is None), None)
