"""The same tasks on datatrove, which runs them in processes of one machine, and with its own executors on Slurm or Ray.

An exception never leaves a task: datatrove's log would show the values of variables with it, and those may be a patient's words.
"""

import json
from functools import lru_cache
from pathlib import Path

from medicalgpt.curation.local import known_error, public_name, trace
from medicalgpt.curation.steps import Work, run_task
from medicalgpt.errors import ConfigError, MedicalGPTError
from medicalgpt.rendering.row_stream import cores


class DatatroveExecutor:
    """Tasks through datatrove's local executor; a task that is done is not done again.

    Raises:
        ConfigError: the package is not there.
    """

    def __init__(self, workers: int | None) -> None:
        try:
            import datatrove  # noqa: F401
        except ImportError:
            raise ConfigError(
                "scale.executor=datatrove needs the extra `scale`: pip install 'medicalgpt[scale]'"
            ) from None
        self._workers = workers or cores()

    def run(self, folder: Path, step: str, count: int) -> None:
        """Do the tasks of a step. Raises whatever the first of them raised."""
        from datatrove.executor import LocalPipelineExecutor

        logs = folder / "datatrove" / step
        (logs / "failed").mkdir(parents=True, exist_ok=True)
        for old in (logs / "failed").iterdir():
            old.unlink()
        LocalPipelineExecutor(
            pipeline=[Task(str(folder), step)],
            tasks=count,
            workers=min(self._workers, count),
            logging_dir=str(logs),
            skip_completed=False,  # our own folders say what is done
        ).run()
        for failed in sorted((logs / "failed").iterdir()):
            name, text = json.loads(failed.read_text(encoding="utf-8"))
            raise known_error(name)(text)

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
            place.write_text(json.dumps(said), encoding="utf-8")


@lru_cache(maxsize=1)
def _work(folder: str) -> Work:
    """Kept between the tasks of a process: detectors take a while to load."""
    return Work(Path(folder))
