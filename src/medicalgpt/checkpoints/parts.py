"""Optimizers of which each process holds a part: whole in a checkpoint, so that any number of processes can go on from it.

A checkpoint of a sharded run is one of a run that is not. The whole state passes through the memory of each process's machine
one tensor at a time, and stays in that of the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from medicalgpt.checkpoints.checkpoint import OPTIMIZER, SCHEDULER, Stateful
from medicalgpt.checkpoints.saved_files import loaded
from medicalgpt.errors import RunError
from medicalgpt.models.shard import as_held, whole


@dataclass(frozen=True)
class WholeState:
    """An optimizer's state as a checkpoint holds it."""

    held: dict[str, object]

    def state_dict(self) -> dict[str, object]:
        """See `torch.optim.Optimizer`."""
        return self.held


def whole_weights(parameters: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights by name with the parts of all processes, which must all ask."""
    return {name: whole(parameter) for name, parameter in parameters.items()}


def whole_state(optimizer: Stateful) -> WholeState:
    """The state with the parts of all processes, which must all ask; the first keeps it."""
    found = optimizer.state_dict()
    keeps = not dist.is_initialized() or dist.get_rank() == 0

    def put(entry: Mapping[str, object]) -> dict[str, object]:
        values = {name: whole(v) if isinstance(v, torch.Tensor) else v for name, v in entry.items()}
        return values if keeps else {}

    return WholeState({**found, "state": {number: put(entry) for number, entry in found["state"].items()}})


def load_parts(
    folder: Path, optimizer: torch.optim.Optimizer, scheduler: torch.optim.lr_scheduler.LRScheduler | None = None
) -> None:
    """Give an optimizer over sharded parameters what this process holds of a checkpoint's state, and the schedule its place.

    Raises:
        RunError: a file cannot be read, or fits another optimizer.
    """
    saved = loaded(folder / OPTIMIZER)
    try:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for number, entry in saved["state"].items():
            parameter = parameters[number]
            for name, value in entry.items():
                if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                    entry[name] = as_held(value, parameter)
        optimizer.load_state_dict(saved)
    except (ValueError, KeyError, IndexError) as error:
        raise RunError(f"{folder / OPTIMIZER} fits another optimizer: {error}; use another output_dir") from error
    if scheduler is not None:
        scheduler.load_state_dict(loaded(folder / SCHEDULER))
