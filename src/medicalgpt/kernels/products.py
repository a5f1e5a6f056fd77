"""Matrix products in fp32 by oneDNN where MKL does not use all of the processor.

torch multiplies in fp32 with MKL, which runs its AVX-512 code on Intel's processors alone: on one of AMD's it takes AVX2, at 104
GFLOP/s where oneDNN reaches 235 on the same core (Zen 5), forward and backward. oneDNN asks the processor what it can, and
is part of torch. The two add up in another order, so results differ by rounding.
"""

import platform
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch.library import Library, get_kernel

from medicalgpt.kernels.primitive_cache import bound_primitive_caches

_LEAST: Final = 1 << 21  # multiplications of a product; of fewer the way through Python would cost more than is gained
_AT_ONCE: Final = 1 << 22  # numbers of a product that is added to others
_CPU: Final = "CPU"

_lock = threading.Lock()
_open: list[Library] = []  # for each block that is open the one that holds the operators of all


@contextmanager
def quick_products() -> Iterator[None]:
    """Within the block all products of this process go the quicker way; no change on a machine where MKL is that."""
    if not _mkl_is_slow():
        yield
        return
    # Every packed row has another length, and oneDNN would keep code for a thousand of them.
    bound_primitive_caches(rows=1)
    with _lock:
        _open.append(_open[0] if _open else _replaced())
    try:
        yield
    finally:
        with _lock:
            library = _open.pop()
            if not _open:
                library._destroy()


def _mkl_is_slow() -> bool:
    """Whether this is one of AMD's processors with AVX-512, and torch has both libraries."""
    both = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    return both and torch.backends.cpu.get_cpu_capability() == "AVX512" and "AuthenticAMD" in _vendor()


def _vendor() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")[:1000]
    except OSError:  # on Windows the processor's name has it
        return platform.processor()


def _replaced() -> Library:
    """Other kernels for torch's operators, until the library is destroyed. What is not for oneDNN goes to its own."""
    own_mm, own_addmm, own_addmm_ = map(_own, ("mm", "addmm", "addmm_"))

    def mm(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return product(a, b) if fits(a, b) else own_mm(a, b)

    def addmm(c: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, beta: float = 1, alpha: float = 1) -> torch.Tensor:
        row = c.dim() == 1 and c.is_contiguous() and c.shape == b.shape[1:] and c.dtype == a.dtype
        if row and (beta, alpha) == (1, 1) and fits(a, b):
            return product(a, b, c)
        return own_addmm(c, a, b, beta=beta, alpha=alpha)

    def addmm_(c: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, beta: float = 1, alpha: float = 1) -> torch.Tensor:
        if c.dtype != a.dtype or (beta, alpha) != (1, 1) or not fits(a, b) or c.shape != (len(a), b.shape[1]):
            return own_addmm_(c, a, b, beta=beta, alpha=alpha)
        rows = max(
            1, _AT_ONCE // b.shape[1]
        )  # never all of it beside what it is added to: that may be as large as a vocabulary
        for some, part in zip(c.split(rows), a.split(rows)):
            some.add_(product(part, b))
        return c

    library = Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they are there already is the point
        for name, kernel in (("mm", mm), ("addmm", addmm), ("addmm_", addmm_)):
            library.impl(name, kernel, _CPU)
    return library


def _own(name: str) -> Callable[..., torch.Tensor]:
    """torch's kernel for an operator, which stays there after another was put in its place."""
    return partial(get_kernel(f"aten::{name}", _CPU).call_boxed, torch._C.DispatchKeySet(torch._C.DispatchKey.CPU))


def fits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether a·b is a product for oneDNN: large, in fp32, of two matrices that lie dense in memory, by rows or by columns."""
    if a.dtype != torch.float32 or b.dtype != torch.float32 or a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[0]:
        return False
    return a.shape[0] * a.shape[1] * b.shape[1] >= _LEAST and _dense(a) and _dense(b)


def _dense(matrix: torch.Tensor) -> bool:
    """Rows, or columns, of numbers that are neighbors, one behind the other without overlap."""
    (rows, columns), (down, right) = matrix.shape, matrix.stride()
    return (right == 1 and down >= columns) or (down == 1 and right >= rows)


def product(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """a·b (+ bias) of shape [n, m] for a [n, k], b [k, m], bias [m], which `fits`, by oneDNN."""
    out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(a, b.t(), bias, "none", [], "")
    return out
