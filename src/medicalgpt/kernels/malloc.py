"""Keep freed memory in the process: glibc gives every large tensor back to the system, which a training step pays for.

glibc serves allocations above 32 MiB by mmap and returns them at once, so each step asks the kernel for the same pages
again and the kernel clears them again. On two cores that was a fifth of a step of SmolLM2-135M. Kept in the heap, pages
are cleared once; the peak stays the same because the next step would have asked for as much.
"""

import ctypes
import platform
import sys

# Parameters of mallopt(3). A trim threshold of −1 never gives the top of the heap back.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def can_keep_memory() -> bool:
    """Whether this is Linux with glibc."""
    return sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc"


def keep_memory() -> bool:
    """Serve large tensors from the heap from now on; returns whether this C library can.

    Call it after loading weights: what is freed later stays with the process until `release_memory`.
    """
    if not can_keep_memory():
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_TRIM_THRESHOLD, -1) and libc.mallopt(_TOP_PAD, 64 << 20) and libc.mallopt(_MMAP_MAX, 0))


def release_memory() -> None:
    """Give free pages back to the system, between the stages of a pipeline or the phases of a PPO update."""
    if can_keep_memory():
        ctypes.CDLL(None).malloc_trim(0)
