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
from medicalgpt.curation.slurm_job import SlurmJob
from medicalgpt.curation.steps import Work, run_task
from medicalgpt.disk.private import private_files
from medicalgpt.errors import ConfigError, MedicalGPTError, RunError
from medicalgpt.rendering.row_stream import cores
from medicalgpt.runs.atomic import write_text


class Launched(Protocol):
    """An executor of datatrove, of any kind. That of Slurm has a `job_id` once it runs."""

    def run(self) -> object: ...


Launch = Callable[[list["Task"], int, str], Launched]
"""Makes an executor of a pipeline, so many tasks and a folder for its logs."""
_TICK: Final = 2.0  # seconds
_PATIENCE: Final = 24 * 3600.0
_LAST_WORDS: Final = 10.0
"""Seconds in which tasks that are done may write their statistics; a job that was canceled just then never does."""


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
        self._speaking: list[Path] = []

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
        for kind in ("failed", "completions"):  # of an earlier start
            (logs / kind).mkdir(parents=True, exist_ok=True)
            for old in (logs / kind).iterdir():
                old.unlink()
        if all(work.done(step, number) for number in range(count)):
            return
        launched = self._launch([Task(str(folder), step)], count, str(logs))
        launched.run()
        self._wait(work, step, count, logs, SlurmJob(getattr(launched, "job_id", None)))
        self._speaking = [logs / "completions" / f"{number:05d}" for number in range(count)]

    def _wait(self, work: Work, step: str, count: int, logs: Path, job: SlurmJob) -> None:
        """Until the tasks of a step are done."""
        todo, last = set(range(count)), time.monotonic()
        while todo:
            over = job.ended()  # asked before folders are looked for
            for failed in sorted((logs / "failed").glob("*.json")):
                job.cancel()
                name, text = json.loads(failed.read_text(encoding="utf-8"))
                raise known_error(name)(text)
            left = {number for number in todo if not work.done(step, number)}
            last = time.monotonic() if left < todo else last
            if left and over:
                raise RunError(
                    f"{len(left)} of {count} tasks of the step {step} are not done, and their job {job.number} has ended: it was "
                    f"canceled, or ran out of time or memory; look at the logs in {logs}; the same command goes on from there"
                )
            if left and time.monotonic() - last > self._patience:
                raise RunError(
                    f"{len(left)} of {count} tasks of the step {step} are not done, and none was for {self._patience:g} s; look at the "
                    f"logs in {logs}; the same command goes on from there"
                )
            todo = left
            time.sleep(_TICK if todo else 0)

    def close(self) -> None:
        """Let the jobs of the last step end: what they write after a task is done lies in the work folder, too."""
        until = time.monotonic() + _LAST_WORDS
        while not all(place.exists() for place in self._speaking) and time.monotonic() < until:
            time.sleep(_TICK / 10)


class Task:
    """What one task of a cluster does; give it to any executor of datatrove with as many `tasks` as the step has."""

    def __init__(self, folder: str, step: str) -> None:
        self.folder, self.step = folder, step

    def __call__(self, data: object, rank: int = 0, world_size: int = 1) -> None:
        """Do the task of this rank."""
        said = None
        try:
            with private_files():  # a cluster's workers have a umask of their own
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
