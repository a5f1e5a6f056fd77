"""What the parts of a stage share, and how a stage ends."""

import sys
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

from rich.console import Console

from medicalgpt.config.base import StageConfig
from medicalgpt.rendering.build import Prepared
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.runs import manifest
from medicalgpt.runs.folder import RunFolder
from medicalgpt.runs.run_key import RunKey
from medicalgpt.training.best import BestSoFar
from medicalgpt.training.phases import Phases
from medicalgpt.training.rl.prompts import PromptSet

C = TypeVar("C", bound=StageConfig)
D = TypeVar("D", Prepared, PromptSet)


class Status(StrEnum):
    """The ends that a call to train can have."""

    FINISHED = "finished"
    ALREADY_FINISHED = "already finished"
    INTERRUPTED = "interrupted"


@dataclass
class Outcome:
    """How a stage ended; `signal` is the number of the one that interrupted it."""

    status: Status
    folder: Path
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    signal: int = 0


@dataclass
class Context(Generic[C, D]):
    """What the parts of a stage share: a config and the data that its kind of stage reads."""

    config: C
    name: str
    console: Console
    template: ChatTemplate
    prepared: D
    folder: RunFolder
    key: RunKey
    base: dict[str, str]
    rank: int
    world: int
    best: BestSoFar | None = None
    started: float = field(default_factory=time.perf_counter)
    phases: Phases = field(init=False)

    def __post_init__(self) -> None:
        self.phases = Phases(self.console)


AnyContext = Context[Any, Any]
"""Of a stage on rows from files, or of one on the model's own answers."""


def recall(folder: Path) -> Outcome:
    """The outcome of a run that was finished before."""
    found = manifest.read(folder)
    return Outcome(Status.ALREADY_FINISHED, folder, dict(found.before), dict(found.after))  # type: ignore[arg-type]


def console(rank: int) -> Console:
    """Where rank 0 speaks; the others are silent."""
    return Console(
        file=sys.stderr, quiet=rank != 0, soft_wrap=True, markup=False
    )  # paths and reasons may have brackets
