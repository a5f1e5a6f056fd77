"""The run folder: where everything of a run lies, and whether a run starts, goes on or is done."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from medicalgpt.errors import RunError
from medicalgpt.runs import manifest
from medicalgpt.runs.atomic import sync_file, write_text
from medicalgpt.runs.failure import forget_failure, note_failure
from medicalgpt.runs.lock import FolderLock
from medicalgpt.runs.ownership import CONFIG, RUN_FILE, Standing, Stretch, examine, record, stretches
from medicalgpt.runs.run_key import RunKey
from medicalgpt.runs.staging import damage, discard, recover, staged, write_complete

LOCK = ".lock"
MERGED = "merged"  # the model of a LoRA run as plain weights, beside `model`
_STEP = re.compile(r"step-([1-9]\d*)")  # no run goes on from step-0, which holds weights alone
_HALF_FILE = re.compile(r"\.[\w.]+\.(yaml|jsonl?|html)\.\d+\.tmp")
_LEFTOVER = re.compile(r"\.(step-\d+)\.(tmp|old|del)")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StartState:
    """How a run starts: "fresh" at step 0, "resume" from `checkpoint`, or "finished" already.

    `note` is what is to be said about it ("" is nothing), `stretched` where the run was made longer before this start.
    """

    status: Literal["fresh", "resume", "finished"]
    checkpoint: Path | None
    note: str = ""
    stretched: tuple[Stretch, ...] = ()

    @property
    def step(self) -> int:
        """The step of `checkpoint`; 0 when there is none."""
        return step_of(self.checkpoint) if self.checkpoint else 0


class RunFolder:
    """The files of one run. `begin` locks the folder until `close`, the end of the `with` block or of the process."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._lock = FolderLock(self.path / LOCK)
        self._begun = False

    @property
    def config(self) -> Path:
        """config.resolved.yaml: every value with its origin."""
        return self.path / CONFIG

    @property
    def metrics(self) -> Path:
        """metrics.jsonl, written by `MetricsLog`."""
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """samples.jsonl, written by `SampleLog`."""
        return self.path / "samples.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of `step-N` folders."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The trained model in Hugging Face layout."""
        return self.path / "model"

    @property
    def figures(self) -> Path:
        """The folder of charts."""
        return self.path / "figures"

    @property
    def report(self) -> Path:
        """report.html."""
        return self.path / "report.html"

    @property
    def manifest(self) -> Path:
        """manifest.json: written last, its presence means that the run is finished."""
        return self.path / manifest.NAME

    def begin(self, config_text: str, key: RunKey, resume: Literal["auto", "never"] = "auto") -> StartState:
        """Claim the folder for a run.

        `key` holds everything that must be equal to continue, but for the length, which may be more: then a finished
        run is none any more, and goes on from its last checkpoint. A fresh start clears metrics and samples; a resume leaves
        them, to be rewound to `StartState.step`. A finished run is left as it is and not locked.

        Raises:
            RunError: the folder belongs to something else, to another configuration or to a running process, or
                `resume` is "never" and something is there.
        """
        found = examine(self.path, config_text, key, resume)
        if found.state == "finished" and found.shorter is None:
            return StartState("finished", self.latest_checkpoint(), found.note)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be used as a run folder: {error.strerror}; choose another output_dir"
            ) from error
        self._lock.acquire()
        try:
            # Look again: another process may have begun or finished between the first look and the lock.
            found = examine(self.path, config_text, key, resume)
            if found.state == "finished" and found.shorter is None:
                self.close()
                return StartState("finished", self.latest_checkpoint(), found.note)
            started = self._start(config_text, key, found)
            self._begun = True
            return started
        except BaseException:
            self.close()
            raise

    def _start(self, config_text: str, key: RunKey, found: Standing) -> StartState:
        try:
            self._recover()
            forget_failure(self.path)
            if found.shorter is not None:
                self._stretch(key, found)
            elif not (self.path / RUN_FILE).exists():
                write_text(self.path / RUN_FILE, json.dumps(record(key)) + "\n")
            write_text(self.config, config_text)
            checkpoint, stretched = self.latest_checkpoint(), stretches(self.path)
            if checkpoint is None:
                self.metrics.unlink(missing_ok=True)
                self.samples.unlink(missing_ok=True)
                return StartState("fresh", None)
            return StartState("resume", checkpoint, _longer(key, found.shorter), stretched)
        except OSError as error:
            raise RunError(f"{self.path} cannot be used as a run folder: {error}; choose another output_dir") from error

    def _stretch(self, key: RunKey, found: Standing) -> None:
        """Let the run here be the longer one of `key`; the manifest goes first, so that a crash leaves one that may go on."""
        assert found.shorter is not None
        checkpoint = self.latest_checkpoint()
        if checkpoint is None and found.state == "finished":
            raise RunError(
                f"{self.path} holds a finished run without a checkpoint, so it cannot be made longer; train on from it in "
                f"another output_dir with model.base={self.path}, or remove the folder to start over"
            )
        stretched, length = stretches(self.path), found.shorter.settings["train"]
        if (
            checkpoint is not None
            and length["max_steps"] is None
            and length["epochs"] != key.settings["train"]["epochs"]
        ):
            stretched += (Stretch(step_of(checkpoint), length["epochs"]),)
        self.manifest.unlink(missing_ok=True)
        write_text(self.path / RUN_FILE, json.dumps(record(key, stretched)) + "\n")

    def close(self) -> None:
        """Let other processes have the folder."""
        self._lock.release()

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Only by the process that began it, and not where the folder was given back (`withdraw`).
        if self._begun and (self.path / RUN_FILE).exists():
            note_failure(self.path, error)
        self.close()

    def checkpoint_dir(self, step: int) -> Path:
        """Where the checkpoint of `step` lies once it is complete."""
        return self.checkpoints / f"step-{step}"

    def saving(self, step: int, needs: int | None = None) -> AbstractContextManager[Path]:
        """Yield a hidden folder to fill, with `needs` bytes; it becomes `checkpoint_dir(step)` when every file is on the disk.

        Raises:
            RunError: the block or the disk failed; the message names the checkpoint that is still there.
        """
        return staged(
            self.checkpoint_dir(step),
            f"the checkpoint of step {step}",
            self._survivor,
            lambda folder: self._seal(folder, step),
            needs,
        )

    def _seal(self, folder: Path, step: int | None = None) -> None:
        """The last of a checkpoint or model before it gets its name: the lines of its steps are on the disk by then."""
        sync_file(self.metrics)
        sync_file(self.samples)
        if step is not None:
            write_complete(folder, step)

    def publishing(self, name: str = "model", needs: int | None = None) -> AbstractContextManager[Path]:
        """Yield a hidden folder to fill, with `needs` bytes; it becomes (or replaces) the folder `name`. Raises RunError."""
        if not name or name.startswith(".") or Path(name).name != name:
            raise ValueError(f"{name!r} is not a plain folder name")
        return staged(self.path / name, str(self.path / name), self._survivor, self._seal, needs)

    def latest_checkpoint(self, contents: bool = True) -> Path | None:
        """The newest complete checkpoint; damaged ones are passed over with a warning. Without `contents` only names and sizes of
        files are looked at, and nothing is said."""
        return next(self._complete(warn=contents, contents=contents), None)

    def fault(self, step: int) -> str | None:
        """What is wrong with the checkpoint of `step`; None when it is complete."""
        folder = self.checkpoint_dir(step)
        return damage(folder) if folder.is_dir() else f"{folder} is missing"

    def prune(self, keep: int, spare: int | None = None) -> list[Path]:
        """Delete everything older than the `keep` newest complete checkpoints but that of step `spare`; returns what was deleted."""
        if keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}")
        kept = [path for _, path in zip(range(keep), self._complete(warn=False))]
        if spare and self.checkpoint_dir(0).exists():  # a later step is better than the start
            discard(self.checkpoint_dir(0))
        if len(kept) < keep:
            return []
        older = [path for path in self._steps() if spare != step_of(path) < step_of(kept[-1])]
        for path in older:
            discard(path)
        return older

    def _steps(self) -> list[Path]:
        """Checkpoint folders, newest first, complete or not."""
        if not self.checkpoints.is_dir():
            return []
        found = [p for p in self.checkpoints.iterdir() if p.is_dir() and _STEP.fullmatch(p.name)]
        return sorted(found, key=step_of, reverse=True)

    def _complete(self, warn: bool, contents: bool = True) -> Iterator[Path]:
        for path in self._steps():
            fault = damage(path, contents)
            if fault is None:
                yield path
            elif warn:
                _log.warning("%s is damaged (%s) and is passed over", path, fault)

    def _survivor(self) -> str:
        latest = next(self._complete(warn=False), None)
        return f"The checkpoint {latest} is intact" if latest else "No checkpoint was saved before"

    def _recover(self) -> None:
        for path in self.path.iterdir():
            if _HALF_FILE.fullmatch(path.name):
                path.unlink()
        recover(self.model)
        recover(self.path / MERGED)
        if self.checkpoints.is_dir():
            names = {m[1] for p in self.checkpoints.iterdir() if (m := _LEFTOVER.fullmatch(p.name))}
            for name in sorted(names):
                recover(self.checkpoints / name)


def _longer(key: RunKey, shorter: RunKey | None) -> str:
    """What is to be said where a run goes on longer than it was to be before."""
    if shorter is None:
        return ""
    if all(shorter.settings["train"][name] == key.settings["train"][name] for name in ("max_steps", "epochs")):
        return "it is made longer by more train.patience"
    return "it is made longer: the learning rate follows the schedule of the new length from here on"


def step_of(path: Path) -> int:
    """The step of a checkpoint's folder."""
    return int(path.name.removeprefix("step-"))


def withdraw(folder: RunFolder) -> None:
    """Free a folder whose run was refused before its first number, so that a corrected config may use it."""
    claim = (folder.path / RUN_FILE, folder.config, folder.report)
    names = {p.name for p in folder.path.iterdir() if p.name != LOCK}
    if names <= {p.name for p in claim}:
        for path in claim:
            path.unlink(missing_ok=True)
