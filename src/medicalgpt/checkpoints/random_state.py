"""The random state of every process of a run, in plain values that `torch.load(weights_only=True)` gives back."""

import random
from typing import NotRequired, TypedDict, final

import numpy as np
import torch


@final
class RandomState(TypedDict):
    """State of one process. The keys, and what they hold, are those that transformers.Trainer restores.

    `python` is what `random.setstate` takes, `numpy` what `numpy.random.set_state` takes, `cpu` a byte tensor, and `cuda`
    one of the process's only device or, in a run of several processes, one of every device.
    """

    python: tuple[int, tuple[int, ...], float | None]
    numpy: tuple[str, list[int], int, int, float]
    cpu: torch.Tensor
    cuda: NotRequired[torch.Tensor | list[torch.Tensor]]


def capture(world_size: int = 1) -> RandomState:
    """This process's state, in a run of `world_size` processes."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    found = RandomState(
        python=(version, tuple(numbers), gauss),
        # Python's integers: an array could only be read back with NumPy's own classes allowed.
        numpy=(str(name), np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)),
        cpu=torch.random.get_rng_state(),
    )
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state_all() if world_size > 1 else torch.cuda.get_rng_state()
    return found


def gather(world_size: int) -> list[RandomState]:
    """The states of all processes by rank, on every one of them."""
    mine = capture(world_size)
    if world_size == 1:
        return [mine]
    states: list[RandomState] = [mine] * world_size
    torch.distributed.all_gather_object(states, mine)
    return states


def restore(state: RandomState) -> None:
    """Make `state` this process's own, with that of its current CUDA device where both have one."""
    random.setstate(state["python"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.asarray(keys, np.uint32), position, has_gauss, cached))
    torch.random.set_rng_state(state["cpu"])
    cuda = state.get("cuda")
    if cuda is None or not torch.cuda.is_available():
        return
    if isinstance(cuda, list):
        device = torch.cuda.current_device()
        if device < len(cuda):
            torch.cuda.set_rng_state(cuda[device])
    else:
        torch.cuda.set_rng_state(cuda)
