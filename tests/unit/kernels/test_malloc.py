"""The heap keeps what training frees, and gives it back when asked."""

import subprocess
import sys

import pytest

from medicalgpt.kernels.malloc import can_keep_memory

PROGRAM = """
import resource, sys
import torch
from medicalgpt.kernels.malloc import keep_heap, release_heap

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "keep":
    assert keep_heap()
torch.ones(64 << 20 >> 2)  # 64 MiB, freed at once
before = faults()
torch.ones(60 << 20 >> 2)  # a little smaller: glibc before 2.38 cannot put an aligned block of the same size there
again = faults() - before
kept = resident()
release_heap()
print(again, kept - resident())
"""


@pytest.mark.skipif(not can_keep_memory(), reason="needs Linux with glibc")
def test_freed_memory_is_used_again_and_can_be_released():
    def run(mode: str) -> list[int]:
        done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
        return [int(x) for x in done.stdout.split()]

    pages = (60 << 20) // 4096
    given_back, kept = run("plain"), run("keep")
    assert given_back[0] > 100  # huge pages may stand for many small ones
    assert kept[0] < min(100, pages / 100)
    assert kept[1] > 60 << 20
