"""Sections of gpu_check.py about attention: is FlexAttention right, how fast, how often compiled, how large its masks."""

import importlib.metadata
import itertools
import time
from collections.abc import Callable
from functools import partial

import torch

from gpu.facts import device, fact, peak_bytes, seconds_of, synchronize
from gpu.material import layout

PACKAGES = ("torch", "triton", "transformers", "accelerate", "peft", "bitsandbytes", "flash-attn", "vllm", "trl")
SHAPES = {"smollm": (9, 3, 64), "qwen3": (16, 8, 128), "llama-70b": (64, 8, 128), "gemma": (8, 4, 256)}
"""Query heads, key heads and head size."""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def hardware(smoke: bool) -> None:
    """Versions, the card and its peak in bfloat16."""
    for package in PACKAGES:
        fact(package, _version(package))
    if not torch.cuda.is_available():
        fact("card", "none")
        return
    card = torch.cuda.get_device_properties(0)
    fact("card", f"{card.name}, {card.total_memory / 2**30:.0f} GiB, sm_{card.major}{card.minor}")
    size = 1024 if smoke else 8192
    a = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    fact("bf16 TFLOP/s of a matrix product", round(2 * size**3 / seconds_of(lambda: a @ a, 10) / 1e12))


def _gap(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found.double() - exact.double()).abs().max())


def _against_float64(
    name: str,
    row: tuple[int, str],
    heads: tuple[int, int, int],
    window: int | None,
    cap: float | None,
    dtype: torch.dtype,
) -> None:
    """FlexAttention no further from float64 than twice what one call a segment is, forward and backward; and its time."""
    from medicalgpt.kernels import attention as ours

    tokens, kind = row
    rows, (queries, keys, size) = layout(tokens, kind), heads
    draws = torch.Generator().manual_seed(7)
    drawn = [torch.randn(1, n, tokens, size, generator=draws) for n in (queries, keys, keys)]
    place = device()
    # FlexAttention has no backward pass on the CPU.
    q, k, v = (x.to(place, dtype).requires_grad_(place.type != "cpu") for x in drawn)
    scale = size**-0.5
    exact_in = [x.detach().double().requires_grad_() for x in (q, k, v)]
    exact = ours.by_segment(rows, exact_in[0], exact_in[1], exact_in[2], window, scale, cap, 0.0)
    plain = ours.by_segment(rows, q, k, v, window, scale, cap, 0.0)
    flex = ours._flex(rows, q, k, v, window, scale, cap)
    floor = torch.finfo(dtype).eps
    assert _gap(flex, exact) <= 2 * _gap(plain, exact) + floor, f"{name}: forward {_gap(flex, exact):.2g} from float64"
    if not q.requires_grad:
        fact(name, "forward only")
        return
    up = torch.randn(plain.shape, generator=draws).to(plain)
    right = torch.autograd.grad(exact, exact_in, up.double())
    for what, a, b, c in zip(
        "qkv", torch.autograd.grad(flex, (q, k, v), up), torch.autograd.grad(plain, (q, k, v), up), right, strict=True
    ):
        assert _gap(a, c) <= 3 * _gap(b, c) + 4 * floor * float(c.abs().max()), f"{name}: d{what} {_gap(a, c):.2g}"

    def flexed() -> None:
        torch.autograd.grad(ours._flex(rows, q, k, v, window, scale, cap), (q, k, v), up)

    def segments() -> None:
        torch.autograd.grad(ours.by_segment(rows, q, k, v, window, scale, cap, 0.0), (q, k, v), up)

    fact(name, f"{1e3 * seconds_of(flexed, 3):.2f} ms, one call a segment {1e3 * seconds_of(segments, 3):.2f} ms")


def attention(smoke: bool) -> None:
    """FlexAttention of whole rows against float64, four head shapes, three kinds of rows, windows and caps."""
    rows = [(256, "pairs")] if smoke else [(4096, "chains"), (4096, "pairs"), (4096, "groups")]
    settings = [(None, None, torch.bfloat16), (512, None, torch.bfloat16), (None, 50.0, torch.bfloat16)]
    settings += [(None, None, torch.float16), (None, None, torch.float32)]
    for (name, heads), row, (window, cap, dtype) in itertools.product(SHAPES.items(), rows, settings):
        if heads[2] == 256 and dtype == torch.float32:
            continue  # no model that we serve asks for it
        if smoke and (name != "smollm" or dtype == torch.float16):
            continue
        case = f"{name} {row[1]} {row[0]} {str(dtype).removeprefix('torch.')} window={window} cap={cap}"
        try:
            _against_float64(case, row, heads, window, cap, dtype)
        except Exception as error:  # the next case may hold
            fact(case, f"FAILED {type(error).__name__}: {str(error)[:200]}")


def shapes(smoke: bool) -> None:
    """Rows of eight lengths and three kinds share compiled kernels: seconds of each first call, and graphs so far."""
    from torch._dynamo.utils import counters

    from medicalgpt.kernels import attention as ours

    lengths = (130, 257, 300) if smoke else (1000, 2047, 2048, 3001, 4096, 4097, 6000, 8192)
    graphs = 0
    for number, tokens in enumerate(lengths):
        rows = layout(tokens, ("pairs", "groups", "chains")[number % 3], number)
        q, k, v = (
            torch.randn(1, n, tokens, 64, device=device(), dtype=torch.bfloat16, requires_grad=not smoke)
            for n in (8, 2, 2)
        )
        begun = time.perf_counter()
        out = ours._flex(rows, q, k, v, None, 0.125, None)
        if q.is_cuda and not smoke:
            out.sum().backward()
        synchronize()
        graphs = counters["stats"].get("unique_graphs", 0)
        fact(f"{tokens} tokens", f"{time.perf_counter() - begun:.2f} s, {graphs} graphs")
    assert graphs <= 4, f"compiled {graphs} times for {len(lengths)} lengths"


def mask(smoke: bool) -> None:
    """What the block mask of a row costs in memory and time; it must not go as the square of the tokens."""
    for tokens in (1024,) if smoke else (4096, 8192, 16384, 32768, 131072):
        rows, begun = layout(tokens, "groups"), time.perf_counter()
        used = peak_bytes(lambda rows=rows: rows.block_mask(None))  # type: ignore[misc]
        synchronize()
        fact(f"{tokens} tokens", f"{used / 2**20:.0f} MiB, {time.perf_counter() - begun:.2f} s")
        assert used < 2**30, f"the mask of a row of {tokens} tokens takes {used / 2**30:.1f} GiB while it is built"


def chains(smoke: bool) -> None:
    """Plain chains: FlexAttention beside the flash-attention kernel for rows of several lengths, forward and backward."""
    from medicalgpt.kernels import attention as ours

    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        fact("variable-length flash attention", "not in this torch")
        return
    if not torch.cuda.is_available():
        fact("variable-length flash attention", "needs a GPU")
        return
    for name, heads in SHAPES.items():
        rows = layout(8192, "chains")
        drawn = [torch.randn(1, n, 8192, heads[2], device="cuda", dtype=torch.bfloat16) for n in (*heads[:2], heads[1])]
        q, k, v = (x.requires_grad_() for x in drawn)
        starts = torch.tensor([0, *itertools.accumulate(rows.sizes)], device="cuda", dtype=torch.int32)
        flash = partial(_flash, varlen_attn, q, k, v, starts, max(rows.sizes))
        flex = partial(ours._flex, rows, q, k, v, None, heads[2] ** -0.5, None)
        try:
            taken = [
                1e3 * seconds_of(lambda run=run, own=(q, k, v): torch.autograd.grad(run().sum(), own))  # type: ignore[misc]
                for run in (flash, flex)
            ]
            fact(name, f"flash {taken[0]:.2f} ms, FlexAttention {taken[1]:.2f} ms")
        except Exception as error:  # a head size that one of the kernels does not take
            fact(name, f"not measured: {type(error).__name__}: {str(error)[:150]}")


def _flash(
    attend: Callable[..., torch.Tensor],
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    starts: torch.Tensor,
    longest: int,
) -> torch.Tensor:
    """Causal attention within each chain of a row by the variable-length kernel; heads shared by repeating them."""
    groups = q.shape[1] // k.shape[1]
    flat = [x[0].transpose(0, 1) for x in (q, k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1))]
    return attend(*flat, starts, starts, longest, longest, window_size=(-1, 0))
