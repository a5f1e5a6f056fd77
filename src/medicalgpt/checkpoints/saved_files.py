"""Reading the files of a checkpoint; what cannot be read is a RunError that says what to do."""

import json
import pickle
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from medicalgpt.errors import RunError

ELSE = "use another output_dir, or delete this folder to go on from the checkpoint before it"
Model = TypeVar("Model", bound=BaseModel)


def shapes(weights: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes in a safetensors file, of which only the head is read."""
    try:
        with safe_open(weights, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RunError(f"{weights} cannot be read: {error}; {ELSE}") from error


def weights(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read: {error}; {ELSE}") from error


def json_object(path: Path) -> dict[str, object]:
    """The JSON object of a file."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}; {ELSE}") from error
    if not isinstance(found, dict):
        raise RunError(f"{path} holds no JSON object; {ELSE}")
    return found


def parsed(path: Path, model: type[Model]) -> Model:
    """The JSON object of a file as a `model`."""
    try:
        return model.model_validate(json_object(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RunError(f"{path}: {where}: {first['msg']}; {ELSE}") from error


def loaded(path: Path) -> Any:
    """Tensors and plain values of a file of torch.save; nothing else is unpickled."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise RunError(f"{path} cannot be read: {type(error).__name__}; {ELSE}") from error


class MeterState(TypedDict):
    """Sums [sum, count] by name, and tokens, over all processes."""

    sums: dict[str, list[float]]
    tokens: int
