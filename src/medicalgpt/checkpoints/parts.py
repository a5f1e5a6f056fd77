"""Weights and optimizers of which each process holds a part: how a checkpoint gets them, and how they come back.

Either the first process gathers them, one tensor at a time, and writes the files of a run that is not sharded; or each
process writes its part (`checkpoints/divided.py`). Any number of processes reads both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from medicalgpt.checkpoints.divided import is_divided, read_parts, shapes_of_parts
from medicalgpt.checkpoints.saved_files import loaded
from medicalgpt.errors import RunError
from medicalgpt.models.shard import as_held, whole

OPTIMIZER: Final = "optimizer.pt"
WEIGHT, MOMENT = "weight/", "optimizer/"
"""What the names of a divided checkpoint's tensors begin with."""


class Stateful(Protocol):
    """An optimizer or a schedule."""

    def state_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class WholeState:
    """An optimizer's state as optimizer.pt holds it."""

    held: dict[str, object]

    def state_dict(self) -> dict[str, object]:
        """See `torch.optim.Optimizer`."""
        return self.held


def is_first() -> bool:
    """Whether this is the first process, or the only one."""
    return not dist.is_initialized() or dist.get_rank() == 0


def whole_weights(parameters: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights by name with the parts of all processes, which must all ask."""
    return {name: whole(parameter) for name, parameter in parameters.items()}


def whole_state(optimizer: Stateful) -> WholeState:
    """The state with the parts of all processes, which must all ask; the first keeps it."""
    found = optimizer.state_dict()
    keeps = is_first()

    def put(entry: Mapping[str, object]) -> dict[str, object]:
        values = {name: whole(v) if isinstance(v, torch.Tensor) else v for name, v in entry.items()}
        return values if keeps else {}

    return WholeState({**found, "state": {number: put(entry) for number, entry in found["state"].items()}})


def parts_of(parameters: Mapping[str, torch.Tensor], optimizer: Stateful) -> tuple[dict[str, torch.Tensor], WholeState]:
    """What goes into the parts, by name, and the rest of the optimizer's state, which is the same in every process."""
    found = optimizer.state_dict()
    tensors = {WEIGHT + name: parameter for name, parameter in parameters.items()}
    rest: dict[object, dict[str, object]] = {}
    for number, entry in found["state"].items():
        rest[number] = {}
        for name, value in entry.items():
            if isinstance(value, DTensor):
                tensors[f"{MOMENT}{number}/{name}"] = value
            else:
                rest[number][name] = value.clone() if isinstance(value, torch.Tensor) else value
    return tensors, WholeState({**found, "state": rest})


def load_optimizer(folder: Path, optimizer: torch.optim.Optimizer) -> None:
    """Give an optimizer what this process holds of a checkpoint's state.

    Raises:
        RunError: a file cannot be read, or fits another optimizer.
    """
    saved = loaded(folder / OPTIMIZER)
    try:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if is_divided(folder):
            _fill(folder, saved["state"], parameters)
        else:
            for number, entry in saved["state"].items():
                parameter = parameters[number]
                for name, value in entry.items():
                    if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                        entry[name] = as_held(value, parameter)
        optimizer.load_state_dict(saved)
    except (ValueError, KeyError, IndexError) as error:
        raise RunError(f"{folder / OPTIMIZER} fits another optimizer: {error}; use another output_dir") from error


def _fill(folder: Path, state: dict[int, dict[str, object]], parameters: list[torch.Tensor]) -> None:
    """Put the moments that lie in parts into `state`."""
    into: dict[str, torch.Tensor] = {}
    for key, shape in shapes_of_parts(folder).items():
        if not key.startswith(MOMENT):
            continue
        number, _, name = key.removeprefix(MOMENT).partition("/")
        parameter = parameters[int(number)]
        if tuple(parameter.shape) != shape:
            raise ValueError(f"{key} has the shape {shape}, its weight {tuple(parameter.shape)}")
        state[int(number)][name] = into[key] = torch.zeros_like(parameter, requires_grad=False)
    read_parts(folder, into)
