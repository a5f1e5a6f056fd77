"""A stage under torchrun that dies in its first two attempts, after a step each. Arguments: those of `medicalgpt train`."""

import os
import sys
from typing import Any

from tests.ranks import death

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.training.stage import run_stage
from medicalgpt.training.supervised import trainer


def main() -> None:
    attempt, init = int(os.environ["TORCHELASTIC_RESTART_COUNT"]), trainer.StageTrainer.__init__

    def mortal(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if attempt < 2:
            self.add_callback(death(attempt + 2))

    trainer.StageTrainer.__init__ = mortal  # type: ignore[method-assign]
    stage, *words = sys.argv[1:]
    run_stage(load(stage_schema(stage), None, words))


if __name__ == "__main__":
    main()
