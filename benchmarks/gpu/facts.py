"""What the sections of gpu_check.py state, and how they measure: facts, clocks, memory of the card."""

import time
from collections.abc import Callable

import torch

FACTS: dict[str, object] = {}


def fact(name: str, value: object) -> None:
    """Note a fact and print it."""
    FACTS[name] = value
    print(f"  {name}: {value}", flush=True)


def device() -> torch.device:
    """The card where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def synchronize() -> None:
    """Wait until the card has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds_of(work: Callable[[], object], runs: int = 5) -> float:
    """Mean seconds of one run, after one that is not counted."""
    work()
    synchronize()
    begun = time.perf_counter()
    for _ in range(runs):
        work()
    synchronize()
    return (time.perf_counter() - begun) / runs


def peak_bytes(work: Callable[[], object]) -> int:
    """Most bytes of the card that the work holds beyond what was held before; 0 without a card."""
    if not torch.cuda.is_available():
        work()
        return 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    synchronize()
    return torch.cuda.max_memory_allocated() - before
