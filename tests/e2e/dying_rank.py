"""What test_shared_batch.py runs under torchrun: `medicalgpt generate` in which the second process is killed midway.

Arguments: a file that is made at that moment (with it there, nobody dies), then the words of `medicalgpt`. The second process
dies in its second part, once some rows are written; the first waits in its third for that.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medicalgpt.cli import app
from medicalgpt.generate.engine import Engine


def main() -> None:
    mark, words, parts = Path(sys.argv[1]), sys.argv[2:], []
    partial = Path(words[words.index("--output") + 1] + ".partial")
    generate, first = Engine.generate, os.environ["RANK"] == "0"

    def midway(self: Engine, *args: Any, **kwargs: Any) -> Any:
        parts.append(1)
        if not first and len(parts) == 2 and not mark.exists():
            _wait(lambda: partial.exists() and partial.stat().st_size > 0)
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if first and len(parts) == 3:
            _wait(mark.exists)
        return generate(self, *args, **kwargs)

    Engine.generate = midway  # type: ignore[method-assign]
    app(words, prog_name="medicalgpt")


def _wait(until: Callable[[], bool]) -> None:
    while not until():
        time.sleep(0.02)


if __name__ == "__main__":
    main()
