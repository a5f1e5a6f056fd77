"""Keep freed memory in the process: glibc gives every large tensor back to the system, which a training step pays for.

glibc serves allocations above 32 MiB by mmap and returns them at once, so each step asks the kernel for the same pages
again and the kernel clears them again. On two cores that was a fifth of a step of SmolLM2-135M. Kept in the heap, pages
are cleared once; the peak stays the same because the next step would have asked for as much.
"""

import ctypes
import platform
import sys

# Parameters of mallopt(3). A trim threshold of −1 never gives the top of the heap back.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
# glibc's defaults; the threshold is where its sliding one ends up after the first large tensor was freed.
_DEFAULTS = ((_TRIM_THRESHOLD, 64 << 20), (_TOP_PAD, 128 << 10), (_MMAP_THRESHOLD, 32 << 20), (_MMAP_MAX, 65536))


def can_keep_memory() -> bool:
    """Whether this is Linux with glibc."""
    return sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc"


def keep_memory() -> bool:
    """Serve large tensors from the heap from now on; returns whether this C library can.

    This is for the whole process, so only training asks for it. Call it after loading weights: what is freed later stays
    with the process until `release_memory` or `restore_memory`.
    """
    if not can_keep_memory():
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_TRIM_THRESHOLD, -1) and libc.mallopt(_TOP_PAD, 64 << 20) and libc.mallopt(_MMAP_MAX, 0))


def restore_memory() -> None:
    """Undo `keep_memory` after training, and give free pages back.

    glibc has no way back to its sliding threshold, nor tells what GLIBC_TUNABLES had set: what follows are its defaults
    as they stand once the threshold has slid to its end.
    """
    if not can_keep_memory():
        return
    libc = ctypes.CDLL(None)
    for parameter, value in _DEFAULTS:
        libc.mallopt(parameter, value)
    libc.malloc_trim(0)


def release_memory() -> None:
    """Give free pages back to the system, between the stages of a pipeline or the phases of a PPO update."""
    if can_keep_memory():
        ctypes.CDLL(None).malloc_trim(0)
