"""What test_distributed.py runs under torchrun: several stages in one pair of processes, as starting those takes long.

Its argument is a JSON list of [stage, overrides, rank that hears SIGTERM during step 2 or null].
"""

import json
import os
import signal
import sys
from typing import Any

from transformers import TrainerCallback

from medicalgpt.config import load, stage_schema
from medicalgpt.train.stage import run_stage
from medicalgpt.train.supervised import trainer


class _Interrupt(TrainerCallback):
    def __init__(self, rank: int | None) -> None:
        self.here = rank == int(os.environ["RANK"])

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.here and state.global_step == 1:
            signal.raise_signal(signal.SIGTERM)


def main() -> None:
    init = trainer.StageTrainer.__init__
    for stage, overrides, rank in json.loads(sys.argv[1]):

        def interrupted(self: Any, *args: Any, rank: int | None = rank, **kwargs: Any) -> None:
            init(self, *args, **kwargs)
            self.add_callback(_Interrupt(rank))

        trainer.StageTrainer.__init__ = interrupted  # type: ignore[method-assign]
        outcome = run_stage(load(stage_schema(stage), None, overrides))
        # One write with its newline, as both ranks share the pipe: print() unbuffered makes two of it.
        os.write(1, f"rank {os.environ['RANK']}: {outcome.status} {outcome.signal}\n".encode())


if __name__ == "__main__":
    main()
