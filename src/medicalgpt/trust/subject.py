"""What a report is about: the stages of a run or a pipeline, as their folders tell, finished or not."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medicalgpt.config.stages import STAGES
from medicalgpt.errors import RunError
from medicalgpt.models.locate import Located
from medicalgpt.pipeline.plan import PLAN, Plan, read_plan
from medicalgpt.runs import manifest
from medicalgpt.runs.bases import resolve_base, run_of
from medicalgpt.runs.folder import MERGED, RunFolder
from medicalgpt.runs.manifest import Manifest

_DEPTH = 16  # stages in a chain, so that folders that name each other end


@dataclass(frozen=True)
class Stage:
    """A stage; `record` is None while it is not finished. `answers`: its model does, as reward models do not."""

    name: str
    kind: str
    folder: Path
    record: Manifest | None
    answers: bool = True

    @property
    def models(self) -> list[Path]:
        """The folders of its model: as trained, and merged."""
        return [place for place in (self.folder / "model", self.folder / MERGED) if place.is_dir()]


@dataclass(frozen=True)
class Subject:
    """A run or a pipeline. `stages` are in order; of a run those that it goes back to come first."""

    kind: Literal["run", "pipeline"]
    folder: Path
    base: str
    stages: tuple[Stage, ...]
    plan: Plan | None = None

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.resolve().name

    @property
    def finished(self) -> list[tuple[Stage, Manifest]]:
        """Stages that are, with their manifests."""
        return [(stage, stage.record) for stage in self.stages if stage.record is not None]


def open_subject(path: Path) -> Subject:
    """The run or pipeline in a folder.

    Raises:
        RunError: it is neither, a manifest or a plan is damaged, or the pipeline's plan is missing.
    """
    if not path.is_dir():
        raise RunError(f"{path} is no folder; give the folder of a run or of a pipeline (its output_dir)")
    if (path / PLAN).is_file():
        return _pipeline(path)
    if RunFolder(path).config.is_file() or (path / manifest.NAME).is_file():
        return _run(path)
    if any(path.glob(f"*/{manifest.NAME}")):
        read_plan(path)  # says what is missing, and what to do
    raise RunError(
        f"{path} is neither a run ({RunFolder(path).config.name}, {manifest.NAME}) nor a pipeline ({PLAN}); give the "
        "output_dir of one"
    )


def _pipeline(path: Path) -> Subject:
    plan = read_plan(path)
    stages = [Stage(one.name, one.stage, path / one.name, _record(path / one.name), one.answers) for one in plan.stages]
    return Subject("pipeline", path, plan.base, tuple(stages), plan)


def _run(path: Path) -> Subject:
    record = _record(path)
    if record is None:
        return Subject("run", path, "", (Stage(path.resolve().name, "", path, None),))
    chain = list(_chain(path, record))
    stages = [
        Stage(run.resolve().name, found.stage, run, found, _answers(found.stage)) for run, found in reversed(chain)
    ]
    return Subject("run", path, chain[-1][1].base, tuple(_told_apart(stages)))


def _chain(run: Path, record: Manifest) -> Iterator[tuple[Path, Manifest]]:
    """A run and those before it, the newest first."""
    for _ in range(_DEPTH):
        yield run, record
        base = resolve_base(run, record)
        earlier = run_of(Located(str(base), "model")) if base is not None else None
        if earlier is None:
            return
        run, record = earlier, manifest.read(earlier)
    raise RunError(
        f"{run} has more than {_DEPTH} runs before it, or runs that name each other; give one whose chain ends"
    )


def _told_apart(stages: list[Stage]) -> Iterator[Stage]:
    """Folders of one name get the folder above it, too."""
    names = [stage.name for stage in stages]
    for stage in stages:
        twice = names.count(stage.name) > 1
        name = f"{stage.folder.resolve().parent.name}/{stage.name}" if twice else stage.name
        yield Stage(name, stage.kind, stage.folder, stage.record, stage.answers)


def _record(folder: Path) -> Manifest | None:
    return manifest.read(folder) if (folder / manifest.NAME).is_file() else None


def _answers(kind: str) -> bool:
    """Whether models of a kind of stage answer; of a user's own stage, which is not registered here, it is taken for granted."""
    return kind not in STAGES or not STAGES[kind].scores
