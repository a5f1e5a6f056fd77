"""Everything an update leaves behind, so that a killed run goes on to the same weights."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from medicalgpt.errors import RunError
from medicalgpt.train.rl.update import Updater

WEIGHTS, OPTIMIZER, STATE, RANDOM = "trainable.safetensors", "optimizer.pt", "state.json", "random_{rank}.pt"


def save(folder: Path, updater: Updater, state: dict[str, Any], randoms: list[dict[str, Any]]) -> None:
    """Write trained weights, optimiser, the loop's own numbers and every process's random state into `folder`."""
    trained = updater.roles.trained()
    save_file({name: p.detach().contiguous() for name, p in trained.items()}, folder / WEIGHTS)
    torch.save(updater.optimizer.state_dict(), folder / OPTIMIZER)
    for rank, found in enumerate(randoms):
        torch.save(found, folder / RANDOM.format(rank=rank))
    (folder / STATE).write_text(json.dumps(state), encoding="utf-8")


def restore(folder: Path, updater: Updater, rank: int) -> dict[str, Any]:
    """Put everything back; returns the loop's own numbers.

    Raises:
        RunError: the checkpoint holds other weights than this model trains.
    """
    trained, saved = updater.roles.trained(), load_file(folder / WEIGHTS)
    if saved.keys() != trained.keys():
        raise RunError(f"{folder} holds other trained weights than this model has; use another output_dir")
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(saved[name])
    updater.optimizer.load_state_dict(torch.load(folder / OPTIMIZER, weights_only=True))
    here = folder / RANDOM.format(rank=rank)
    if here.is_file():
        restore_random(torch.load(here, weights_only=True))
    state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    return state


def random_state() -> dict[str, Any]:
    """This process's random state, as tensors and plain values. Our own draws come from seeds; reward functions may not."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()  # type: ignore[misc]
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [
            str(name),
            torch.from_numpy(np.asarray(keys, np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "torch": torch.random.get_rng_state(),
    }


def restore_random(state: dict[str, Any]) -> None:
    """The reverse of `random_state`."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.random.set_rng_state(state["torch"])
