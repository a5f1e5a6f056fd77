"""Pages of mapped weight files that this process need not hold, as a copy of them is what computes.

A safetensors file stays mapped where its numbers have the type that is wanted. What was read of it counts as this process's
memory beside the copy, until the system is short and takes it back; it is given back at once here. The next read finds
it in the system's file cache, and on the disk at worst.
"""

import ctypes
import mmap
import sys
from pathlib import Path
from typing import Final

import numpy as np
import torch

_PAGEMAP: Final = Path("/proc/self/pagemap")
_ENTRY: Final = np.dtype("<u8")
# Bits of an entry of pagemap, proc_pid_pagemap(5).
_PRESENT, _SWAPPED, _OF_FILE = (np.uint64(1 << bit) for bit in (63, 62, 61))


def release_pages(tensor: torch.Tensor) -> int:
    """Let go of the pages of a mapped file that a tensor on the CPU lies in; gives how many bytes.

    The tensor stays as it is. Where one of its pages is no file's, as after a write to it (such a page is this process's own, and
    what it holds is nowhere else), or the system does not tell, nothing is let go. Nothing may write to it meanwhile.
    """
    if not sys.platform.startswith("linux") or tensor.device.type != "cpu" or tensor.layout != torch.strided:
        return 0
    start = tensor.data_ptr()
    first, end = -(-start // mmap.PAGESIZE), (start + tensor.nbytes) // mmap.PAGESIZE
    if not tensor.is_contiguous() or end <= first or not _clean(first, end - first):
        return 0
    length = (end - first) * mmap.PAGESIZE
    done = ctypes.CDLL(None).madvise(
        ctypes.c_void_p(first * mmap.PAGESIZE), ctypes.c_size_t(length), mmap.MADV_DONTNEED
    )
    return length if done == 0 else 0


def _clean(first: int, count: int) -> bool:
    """Whether all pages that are there are those of a file, unchanged; a changed one of a private mapping is anonymous."""
    try:
        with _PAGEMAP.open("rb", buffering=0) as file:
            file.seek(first * _ENTRY.itemsize)
            entries = np.frombuffer(file.read(count * _ENTRY.itemsize), _ENTRY)
    except OSError:
        return False
    anonymous = (entries & _SWAPPED != 0) | ((entries & _PRESENT != 0) & (entries & _OF_FILE == 0))
    return len(entries) == count and not anonymous.any() and bool((entries & _PRESENT).any())
