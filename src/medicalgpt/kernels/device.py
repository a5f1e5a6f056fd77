"""The accelerator of this process, asked of torch alone: a GPU of NVIDIA or AMD, an NPU, an XPU; or none, and the CPU computes.

`torch.accelerator` names what this build of torch drives, and torch's module for that kind of device (`torch.cuda`, `torch.npu` …) is
asked where the former does not know. No other module names a kind, but where a kernel or a library exists for one only.
"""

import os
from types import ModuleType
from typing import Final

import torch
import torch.distributed as dist

# Sums, counts and held-out numbers are kept in float64, which these do not have.
WITHOUT_FLOAT64: Final = frozenset({"mps"})


def accelerator() -> torch.device | None:
    """The kind of accelerator that is used, without a number; None where the CPU computes."""
    found: torch.device | None = torch.accelerator.current_accelerator(check_available=True)
    return None if found is None or found.type in WITHOUT_FLOAT64 else found


def own_device() -> torch.device:
    """This process's device."""
    found = accelerator()
    return torch.device("cpu") if found is None else torch.device(found.type, torch.accelerator.current_device_index())


def take_device() -> None:
    """Of a machine's accelerators, which torchrun's processes share out, this process takes the one of its number."""
    if accelerator() is not None:
        number = int(os.environ.get("LOCAL_RANK", "0"))
        torch.accelerator.set_device_index(number % torch.accelerator.device_count())


def backend() -> str:
    """What processes talk through: gloo, and for tensors of the accelerator its own."""
    found = accelerator()
    return "gloo" if found is None else f"cpu:gloo,{found.type}:{dist.get_default_backend_for_device(found.type)}"


def device_name() -> str:
    """What the accelerator calls itself, or "cpu"."""
    found = accelerator()
    if found is None:
        return "cpu"
    ask = getattr(_module(found), "get_device_name", None)
    return str(ask()) if ask is not None else found.type


def free_device_memory() -> int | None:
    """Bytes that are free on this process's accelerator; None where there is none."""
    return None if accelerator() is None else int(torch.accelerator.get_memory_info()[0])


def multiplies_bfloat16() -> bool:
    """Whether the accelerator multiplies bfloat16 by itself; one that does not say so does not."""
    found = accelerator()
    ask = None if found is None else getattr(_module(found), "is_bf16_supported", None)
    if found is None or ask is None:
        return False
    # CUDA counts emulation by default, which is slower than float32.
    return bool(ask(including_emulation=False) if found.type == "cuda" else ask())


def random_states() -> tuple[str, list[torch.Tensor], int] | None:
    """Kind of the accelerators, the random state of each, and the number of this process's own; None where there is none."""
    found = accelerator()
    if found is None:
        return None
    return found.type, list(_module(found).get_rng_state_all()), torch.accelerator.current_device_index()


def take_random_state(state: torch.Tensor) -> None:
    """Give this process's accelerator its random state back."""
    found = accelerator()
    if found is not None:
        _module(found).set_rng_state(state)


def _module(device: torch.device) -> ModuleType:
    found: ModuleType = torch.get_device_module(device)
    return found
