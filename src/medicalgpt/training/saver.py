"""Writes the checkpoints of a run: by the first process alone or, of a sharded model, by all of them while training goes on.

A checkpoint appears when all parts of it are on the disk, as that of one process does. One is written at a time: the next one
and the end of the run wait for it, and say what went wrong with it. Machines that do not see one disk cannot fill one folder;
then the first process gathers everything and writes alone.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from medicalgpt.checkpoints import checkpoint
from medicalgpt.checkpoints.checkpoint import Snapshot
from medicalgpt.checkpoints.divided import copied, write_parts
from medicalgpt.checkpoints.parts import WEIGHT, is_first, parts_of, whole_state, whole_weights
from medicalgpt.errors import RunError
from medicalgpt.generate.distributed import PATIENCE
from medicalgpt.models.trial import local
from medicalgpt.runs.folder import RunFolder
from medicalgpt.training.best import BestSoFar, kept
from medicalgpt.training.together import first_does, gathered, one_disk, wait

Weights = Mapping[str, torch.Tensor]


@dataclass
class Saver:
    """All processes make the same calls.

    Args:
        keep: checkpoints that stay, beside the best one of `best`.
        behind: parts are written while training goes on, from a copy in main memory.
    """

    folder: RunFolder
    keep: int
    behind: bool = True
    best: BestSoFar | None = None
    _thread: threading.Thread | None = None
    _problem: BaseException | None = field(default=None, repr=False)

    def start(self, weights: Weights) -> None:
        """Keep the weights before step 1, which are the best until a step is better."""
        if self._in_parts(weights):
            self._divide(0, {WEIGHT + name: w for name, w in weights.items()}, lambda temp: None, prune=False)
            self.wait()
            return
        gathered_weights = whole_weights(weights)
        if is_first():
            with self.folder.saving(0, sum(w.nbytes for w in gathered_weights.values())) as temp:
                checkpoint.write_weights(temp, gathered_weights)
        wait()

    def save(self, snapshot: Snapshot, weights: Weights) -> None:
        """Write a checkpoint; in parts it is only begun here, where it may be written behind.

        Raises:
            RunError: it, or the one before, could not be written.
        """
        self.wait()
        if self._in_parts(weights):
            tensors, rest = parts_of(weights, snapshot.optimizer)
            held = replace(snapshot, optimizer=rest)
            shapes = {name: tuple(w.shape) for name, w in weights.items()}
            self._divide(snapshot.step, tensors, lambda temp: checkpoint.write(temp, held, shapes))
            return
        gathered_weights, optimizer = whole_weights(weights), whole_state(snapshot.optimizer)
        if is_first():
            with self.folder.saving(snapshot.step, checkpoint.size(gathered_weights, optimizer)) as temp:
                checkpoint.write_weights(temp, gathered_weights)
                checkpoint.write(temp, replace(snapshot, optimizer=optimizer))
            self._prune()
        wait()

    def wait(self) -> None:
        """Until what was begun is written. Raises RunError where it could not be, in any process."""
        if self._thread is None:
            return
        self._thread.join()
        self._thread, problem = None, self._problem
        self._problem = None
        said = [one for one in gathered(str(problem) if problem else "") if one]
        if problem is not None:
            raise problem
        if said:
            raise RunError(said[0])

    def leave(self) -> None:
        """The run ends with an error: give what was begun a minute to become a checkpoint."""
        if self._thread is not None:
            self._thread.join(60)

    def _in_parts(self, weights: Weights) -> bool:
        return any(isinstance(w, DTensor) for w in weights.values()) and self._one_disk

    @cached_property
    def _one_disk(self) -> bool:
        return one_disk(self.folder.path)

    @cached_property
    def _group(self) -> dist.ProcessGroup:
        """In which a thread may talk while the run goes on."""
        group: dist.ProcessGroup = dist.new_group(backend="gloo", timeout=PATIENCE)
        return group

    def _divide(
        self, step: int, tensors: dict[str, torch.Tensor], rest: Callable[[Path], None], prune: bool = True
    ) -> None:
        """Begin to write what all processes hold; the first one writes the rest at once, which is small."""
        group, opened = self._group, ExitStack()
        needs = dist.get_world_size() * sum(local(tensor).nbytes for tensor in tensors.values())

        def begin() -> Path:
            with ExitStack() as opening:
                temp = opening.enter_context(self.folder.saving(step, needs))
                rest(temp)
                opened.enter_context(opening.pop_all())
            return temp

        temp = first_does(begin)
        held = copied(tensors) if self.behind else tensors

        def finish() -> None:
            try:
                with opened:  # where the first process gives the folder its name
                    write_parts(temp, held, group)
                if prune and is_first():
                    self._prune()
            except BaseException as error:
                self._problem = error

        self._thread = threading.Thread(target=finish, name=f"checkpoint {step}", daemon=True)
        self._thread.start()
        if not self.behind:
            self.wait()

    def _prune(self) -> None:
        self.folder.prune(self.keep, spare=kept(self.best, self.folder))
