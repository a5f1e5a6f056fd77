"""The same tasks on datatrove, which runs them in processes of one machine, and with its own executors on Slurm or Ray.

An exception never leaves a task: datatrove's log would show the values of variables with it, and those may be a patient's words.
"""

import json
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

from medicalgpt.curation.local import known_error, public_name, trace
from medicalgpt.curation.steps import Work, run_task
from medicalgpt.errors import ConfigError, MedicalGPTError, RunError
from medicalgpt.rendering.row_stream import cores
from medicalgpt.runs.atomic import write_text


class Launched(Protocol):
    """An executor of datatrove, of any kind."""

    def run(self) -> object: ...


Launch = Callable[[list["Task"], int, str], Launched]
"""Makes an executor of a pipeline, so many tasks and a folder for its logs."""
_TICK: Final = 2.0  # seconds
_PATIENCE: Final = 24 * 3600.0


class DatatroveExecutor:
    """Tasks through an executor of datatrove, its local one where no other is given; a task that is done is not done again.

    Args:
        launch: makes the executor of a step, for Slurm or Ray. All its machines see the work folder under the same path. What it
            started is waited for, whether or not its `run` returns at once.
        patience: seconds in which no task is done before that is an error.

    Raises:
        ConfigError: the package is not there.
    """

    def __init__(self, workers: int | None = None, launch: Launch | None = None, patience: float = _PATIENCE) -> None:
        try:
            import datatrove  # noqa: F401
        except ImportError:
            raise ConfigError(
                "scale.executor=datatrove needs the extra `scale`: pip install 'medicalgpt[scale]'"
            ) from None
        self._workers = workers or cores()
        self._launch = launch or self._local
        self._patience = patience

    def _local(self, pipeline: list["Task"], tasks: int, logs: str) -> Launched:
        from datatrove.executor import LocalPipelineExecutor

        workers = min(self._workers, tasks)
        # Our own folders say what is done.
        local: Launched = LocalPipelineExecutor(
            pipeline=pipeline, tasks=tasks, workers=workers, logging_dir=logs, skip_completed=False
        )
        return local

    def run(self, folder: Path, step: str, count: int) -> None:
        """Do the tasks of a step. Raises whatever the first of them raised; RunError where none is done for too long."""
        work = Work(folder)
        logs = folder / "datatrove" / step
        (logs / "failed").mkdir(parents=True, exist_ok=True)
        for old in (logs / "failed").iterdir():
            old.unlink()
        todo = {number for number in range(count) if not work.done(step, number)}
        if not todo:
            return
        self._launch([Task(str(folder), step)], count, str(logs)).run()
        last = time.monotonic()
        while todo:
            for failed in sorted((logs / "failed").glob("*.json")):
                name, text = json.loads(failed.read_text(encoding="utf-8"))
                raise known_error(name)(text)
            left = {number for number in todo if not work.done(step, number)}
            last = time.monotonic() if left < todo else last
            if left and time.monotonic() - last > self._patience:
                raise RunError(
                    f"{len(left)} of {count} tasks of the step {step} are not done, and none was for {self._patience:g} s; look at the "
                    f"logs in {logs}; the same command goes on from there"
                )
            todo = left
            time.sleep(_TICK if todo else 0)

    def close(self) -> None:
        """Nothing to end: datatrove's processes end with each step."""


class Task:
    """What one task of a cluster does; give it to any executor of datatrove with as many `tasks` as the step has."""

    def __init__(self, folder: str, step: str) -> None:
        self.folder, self.step = folder, step

    def __call__(self, data: object, rank: int = 0, world_size: int = 1) -> None:
        """Do the task of this rank."""
        said = None
        try:
            run_task(_work(self.folder), self.step, rank)
        except MedicalGPTError as error:
            said = [public_name(error), str(error)]
        except Exception as error:
            said = ["RunError", f"{self.step} {rank}: {type(error).__name__} in a process that curated rows"]
            trace(error)
        if said is not None:
            place = Path(self.folder) / "datatrove" / self.step / "failed" / f"{rank:06d}.json"
            write_text(place, json.dumps(said))  # whole or not at all: it is looked for while it is written


@lru_cache(maxsize=1)
def _work(folder: str) -> Work:
    """Kept between the tasks of a process: detectors take a while to load."""
    return Work(Path(folder))
