"""The random state of every process of a run, in plain values that `torch.load(weights_only=True)` gives back."""

import random
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict, final

import numpy as np
import torch

from medicalgpt.kernels.device import own_device, random_states, take_random_state

Devices: TypeAlias = torch.Tensor | list[torch.Tensor]
Kind: TypeAlias = Literal["cuda", "npu", "xpu", "hpu", "mlu", "musa"]
_KINDS: Final[dict[str, Kind]] = {
    "cuda": "cuda",
    "npu": "npu",
    "xpu": "xpu",
    "hpu": "hpu",
    "mlu": "mlu",
    "musa": "musa",
}


@final
class RandomState(TypedDict):
    """State of one process. The keys, and what they hold, are those that transformers.Trainer restores.

    `python` is what `random.setstate` takes, `numpy` what `numpy.random.set_state` takes, `cpu` a byte tensor, and the kind of the
    accelerator (`cuda`, `npu` …) one of the process's own or, in a run of several processes, one of every device.
    """

    python: tuple[int, tuple[int, ...], float | None]
    numpy: tuple[str, list[int], int, int, float]
    cpu: torch.Tensor
    cuda: NotRequired[Devices]
    npu: NotRequired[Devices]
    xpu: NotRequired[Devices]
    hpu: NotRequired[Devices]
    mlu: NotRequired[Devices]
    musa: NotRequired[Devices]


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
    devices = random_states()
    if devices is not None and devices[0] in _KINDS:
        kind, states, own = devices
        found[_KINDS[kind]] = states if world_size > 1 else states[own]
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
    """Make `state` this process's own, with that of its accelerator where both have one."""
    random.setstate(state["python"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.asarray(keys, np.uint32), position, has_gauss, cached))
    torch.random.set_rng_state(state["cpu"])
    device = own_device()
    saved = state.get(_KINDS[device.type]) if device.type in _KINDS else None
    if isinstance(saved, list):
        saved = saved[device.index] if device.index < len(saved) else None
    if saved is not None:
        take_random_state(saved)
