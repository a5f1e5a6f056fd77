"""The heap keeps what training frees, and gives it back when asked."""

import subprocess
import sys

import pytest
import torch
from tests.tiny import tiny_model

from medicalgpt.kernels.malloc import can_keep_memory
from medicalgpt.models import optimize

PROGRAM = """
import resource, sys
import torch
from medicalgpt.kernels.malloc import keep_memory, release_memory, restore_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] != "plain":
    assert keep_memory()
if sys.argv[1] == "restored":
    torch.ones(40 << 20 >> 2)  # leaves a hole in the heap in which the tensors below find no room
    restore_memory()
torch.ones(64 << 20 >> 2)  # 64 MiB, freed at once
before = faults()
torch.ones(60 << 20 >> 2)  # a little smaller: glibc before 2.38 cannot put an aligned block of the same size there
again = faults() - before
kept = resident()
release_memory()
print(again, kept - resident())
"""


@pytest.mark.skipif(not can_keep_memory(), reason="needs Linux with glibc")
def test_freed_memory_is_used_again_and_can_be_released():
    def run(mode: str) -> list[int]:
        done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
        return [int(x) for x in done.stdout.split()]

    pages = (60 << 20) // 4096
    given_back, kept, restored = run("plain"), run("keep"), run("restored")
    assert given_back[0] > 100  # huge pages may stand for many small ones
    assert kept[0] < min(100, pages / 100)
    assert kept[1] > 60 << 20
    # After training the next tensor is a mapping of its own again, as it was before.
    assert restored[0] > 100
    assert restored[1] < 8 << 20


def test_only_training_keeps_memory_and_it_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(optimize, "keep_memory", lambda: calls.append("keep"))
    monkeypatch.setattr(optimize, "accelerator", lambda: None)
    optimize.optimize_for_training(tiny_model())
    assert calls == ["keep"]
    monkeypatch.setattr(optimize, "accelerator", lambda: torch.device("cuda"))
    optimize.optimize_for_training(tiny_model())
    assert calls == ["keep"]
