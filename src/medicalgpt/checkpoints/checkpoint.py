"""The one checkpoint format: what any training loop needs to go on to the weights it would have reached unbroken.

    checkpoint.json        `Header`: format version, kind, step, processes, names and shapes of the trained weights
    trainable.safetensors  trained weights
    optimizer.pt           optimizer state
    parts/                 of a sharded model: weights and moments, a file of each process, instead of those in the two files
    scheduler.pt           schedule of a supervised run; reinforcement learning computes it from the number of the update
    rng_state.pth          random state; with several processes rng_state_0.pth, rng_state_1.pth, …
    pending.json           `Pending`: metric sums that no line holds yet
    trainer_state.json     the loop's own state

optimizer.pt, scheduler.pt, rng_state*.pth and trainer_state.json are what transformers.Trainer reads by itself when it
resumes. Everything is written inside `RunFolder.saving`, which makes it appear as a whole.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file

from medicalgpt.checkpoints.divided import is_divided, read_parts, shapes_of_parts
from medicalgpt.checkpoints.old_checkpoints import OldCheckpoint, modern, recognize
from medicalgpt.checkpoints.parts import OPTIMIZER, WEIGHT, Stateful, load_optimizer
from medicalgpt.checkpoints.random_state import RandomState, restore
from medicalgpt.checkpoints.saved_files import ELSE, MeterState, Model, json_object, loaded, parsed, shapes, weights
from medicalgpt.errors import RunError
from medicalgpt.models.shard import as_held

FORMAT: Final = 1
IN_PARTS: Final = 2
HEADER, WEIGHTS, SCHEDULER = "checkpoint.json", "trainable.safetensors", "scheduler.pt"
PENDING, STATE = "pending.json", "trainer_state.json"

Kind = Literal["supervised", "rl"]

_log = logging.getLogger(__name__)


class Header(BaseModel):
    """What a checkpoint is. `tensors` gives the shape of every trained weight by its name, `rows_per_step` the plan of a supervised
    run (None: of an earlier version)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1, 2] = FORMAT
    kind: Kind
    step: int = Field(ge=0)
    world_size: int = Field(ge=1)
    rows_per_step: int | None = Field(None, ge=1)
    tensors: dict[str, tuple[int, ...]]


class Pending(BaseModel):
    """Metric sums [sum, count] and tokens since the last metrics line, over all processes, and the run's tokens before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sums: dict[str, list[float]] = {}
    tokens: int = 0
    total_tokens: int

    def meter(self) -> MeterState:
        """What `Meter.restore` takes."""
        return {"sums": self.sums, "tokens": self.tokens}


@dataclass(frozen=True)
class Snapshot:
    """All of a checkpoint but the weights; `random` holds one state for every process, by rank."""

    kind: Kind
    step: int
    optimizer: Stateful
    random: Sequence[RandomState]
    pending: Pending
    state: Mapping[str, object]
    scheduler: Stateful | None = None
    rows_per_step: int | None = None


def tensors(parameters: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Trained weights as they go into trainable.safetensors."""
    return {name: parameter.detach().contiguous() for name, parameter in parameters.items()}


def write_weights(folder: Path, parameters: Mapping[str, torch.Tensor]) -> None:
    """Write trainable.safetensors into `folder`."""
    save_file(tensors(parameters), folder / WEIGHTS)


def load_weights(folder: Path, parameters: Mapping[str, torch.nn.Parameter]) -> None:
    """Copy the weights of a checkpoint into `parameters`, which must have the same names and shapes. Raises RunError."""
    if is_divided(folder):
        there = {n.removeprefix(WEIGHT): s for n, s in shapes_of_parts(folder).items() if n.startswith(WEIGHT)}
        _compare(folder, there, parameters)
        read_parts(folder, {WEIGHT + name: parameter.detach() for name, parameter in parameters.items()})
        return
    _compare(folder, shapes(folder / WEIGHTS), parameters)
    saved = weights(folder / WEIGHTS)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(as_held(saved[name], parameter))


def size(parameters: Mapping[str, torch.Tensor], optimizer: Stateful) -> int:
    """Bytes that a checkpoint takes, but for a few thousand: the trained weights and the optimizer's state."""
    held = optimizer.state_dict()["state"].values()
    states = (value for state in held for value in state.values() if isinstance(value, torch.Tensor))
    return sum(tensor.nbytes for tensor in (*parameters.values(), *states))


def write(folder: Path, snapshot: Snapshot, in_parts: Mapping[str, tuple[int, ...]] | None = None) -> None:
    """Write `snapshot` beside the weights that already lie in `folder`; the header describes what lies there.

    Args:
        in_parts: names and shapes of weights that come in parts instead.
    """
    torch.save(snapshot.optimizer.state_dict(), folder / OPTIMIZER)
    if snapshot.scheduler is not None:
        torch.save(snapshot.scheduler.state_dict(), folder / SCHEDULER)
    world_size = len(snapshot.random)
    for path, state in zip(_random_files(folder, world_size), snapshot.random):
        torch.save(state, path)
    (folder / PENDING).write_text(json.dumps(snapshot.pending.model_dump()), encoding="utf-8")
    (folder / STATE).write_text(json.dumps(snapshot.state, indent=2) + "\n", encoding="utf-8")
    header = Header(
        format_version=FORMAT if in_parts is None else IN_PARTS,
        kind=snapshot.kind,
        step=snapshot.step,
        world_size=world_size,
        rows_per_step=snapshot.rows_per_step,
        tensors=shapes(folder / WEIGHTS) if in_parts is None else dict(in_parts),
    )
    (folder / HEADER).write_text(header.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found complete, to be put back part by part; every `load_…` raises RunError."""

    folder: Path
    header: Header
    pending: Pending
    state: Path
    random: tuple[Path, ...]

    def load_weights(self, parameters: Mapping[str, torch.nn.Parameter]) -> None:
        """Copy the weights into `parameters`, which must have the same names and shapes."""
        load_weights(self.folder, parameters)

    def load_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Give `optimizer` its state back, or what this process holds of it."""
        load_optimizer(self.folder, optimizer)

    def load_random(self, rank: int) -> None:
        """Take up the random state of process `rank`; a process that did not exist then keeps its own."""
        if rank < len(self.random):
            restore(modern(loaded(self.random[rank])))

    def load_state(self, model: type[Model]) -> Model:
        """The loop's own state as a `model`."""
        return parsed(self.state, model)


def _compare(folder: Path, there: Mapping[str, tuple[int, ...]], parameters: Mapping[str, torch.nn.Parameter]) -> None:
    here = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    facts = {
        "only in the model": [n for n in here if n not in there],
        "only in the checkpoint": [n for n in there if n not in here],
        "of another shape": [
            f"{n}: {there[n]} there, {here[n]} here" for n in here if n in there and there[n] != here[n]
        ],
    }
    if any(facts.values()):
        said = "; ".join(f"{len(found)} {what}, such as {found[0]}" for what, found in facts.items() if found)
        raise RunError(f"{folder} holds other trained weights than this model has ({said}); use another output_dir")


def read(folder: Path, kind: Kind, world_size: int) -> Checkpoint:
    """The checkpoint in `folder`, for a loop of `kind` in a run of `world_size` processes.

    With another number of processes the run goes on, with a warning that its random state is not the one it would have
    had.

    Raises:
        RunError: a file is missing or unreadable, the format is unknown, or another kind of loop wrote it.
    """
    old = None if (folder / HEADER).is_file() else recognize(folder)
    header = _old_header(folder, old) if old else _header(folder)
    if header.kind != kind:
        raise RunError(
            f"{folder} was written by a run of kind {header.kind!r}, this one is {kind!r}; use another output_dir"
        )
    random = old.random if old else tuple(_random_files(folder, header.world_size))
    state = old.state if old else folder / STATE
    pending = folder / PENDING
    needed = [*([] if header.format_version == IN_PARTS else [folder / WEIGHTS]), folder / OPTIMIZER, state, *random]
    needed += [folder / SCHEDULER] if kind == "supervised" else []
    needed += [pending] if old is None else []
    if missing := [path.name for path in needed if not path.is_file()]:
        raise RunError(f"{folder} is not complete: {', '.join(missing)} missing; {ELSE}")
    if header.world_size != world_size:
        _log.warning(
            "%s was saved by %d process(es) and goes on in %d: random draws are not those of an unbroken run. Start as many "
            "processes as before for the same numbers",
            folder,
            header.world_size,
            world_size,
        )
    if pending.is_file():
        sums = parsed(pending, Pending)
    else:
        assert old is not None
        sums = Pending(total_tokens=old.total_tokens())
    return Checkpoint(folder, header, sums, state, random)


def header(folder: Path) -> Header:
    """What the checkpoint in `folder` says of itself, whatever its layout. Raises RunError."""
    old = None if (folder / HEADER).is_file() else recognize(folder)
    return _old_header(folder, old) if old else _header(folder)


def _header(folder: Path) -> Header:
    path = folder / HEADER
    if not path.is_file():
        raise RunError(f"{folder} is no checkpoint: it has no {HEADER}; {ELSE}")
    version = json_object(path).get("format_version")
    if version not in (FORMAT, IN_PARTS):
        raise RunError(
            f"{path} has format_version {version!r}; {FORMAT}, {IN_PARTS} and the layouts before can be read. Go on with the version "
            "of MedicalGPT that wrote it, or use another output_dir"
        )
    return parsed(path, Header)


def _old_header(folder: Path, old: OldCheckpoint) -> Header:
    return Header(kind=old.kind, step=old.step, world_size=max(1, len(old.random)), tensors=shapes(folder / WEIGHTS))


def _random_files(folder: Path, world_size: int) -> list[Path]:
    if world_size == 1:
        return [folder / "rng_state.pth"]
    return [folder / f"rng_state_{rank}.pth" for rank in range(world_size)]
