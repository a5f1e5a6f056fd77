"""What runs under torchrun: several stages in one pair of processes, as starting those takes long.

Its argument is a JSON list of jobs, whose keys are the parameters of `train`.
"""

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.numerics import Walk, float64, walking
from transformers import TrainerCallback

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.training.context import Outcome
from medicalgpt.training.stage import run_stage
from medicalgpt.training.supervised import trainer


class _Interrupt(TrainerCallback):
    def __init__(self, rank: int | None) -> None:
        self.here = rank == int(os.environ["RANK"])

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.here and state.global_step == 1:
            signal.raise_signal(signal.SIGTERM)


def train(
    stage: str,
    words: list[str],
    interrupt: int | None = None,
    wide: bool = False,
    along: str | None = None,
    keep: str | None = None,
) -> Outcome:
    """One stage with overrides.

    Args:
        interrupt: rank that hears SIGTERM during step 2.
        wide: compute in float64.
        along, keep: files of the walk to go along, and to write.
    """
    init = trainer.StageTrainer.__init__

    def interrupted(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.add_callback(_Interrupt(interrupt))

    trainer.StageTrainer.__init__ = interrupted  # type: ignore[method-assign]
    try:
        with (
            float64() if wide else contextlib.nullcontext(),
            walking(Walk.load(Path(along)) if along else None) as walk,
        ):
            outcome = run_stage(load(stage_schema(stage), None, words))
    finally:
        trainer.StageTrainer.__init__ = init  # type: ignore[method-assign]
    if keep and os.environ["RANK"] == "0":
        walk.save(Path(keep))
    return outcome


def main() -> None:
    for job in json.loads(sys.argv[1]):
        outcome = train(**job)
        # One write with its newline, as both ranks share the pipe: print() unbuffered makes two of it.
        os.write(1, f"rank {os.environ['RANK']}: {outcome.status} {outcome.signal}\n".encode())


if __name__ == "__main__":
    main()
