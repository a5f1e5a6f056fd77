"""Linear layers and embeddings whose weights are kept in 8 or 4 bits, for models that answer on a CPU.

Int8 keeps one scale per output channel. A row of activations is written as 128·high + low, two rows of 8-bit numbers, so
that both products are sums of integers: exact, the same in every batch, and at home in the CPU's 8-bit units; a CPU
without them adds the same integers in fp32. What is rounded is the activation, at 1/16,256 of its row's largest number.
The weight-only kernel of torch (`_weight_int8pack_mm`) is as fast for one row, but rounds activations and results to
bfloat16, a hundred times as coarse, and is slower than fp32 from eight rows on; with 8-bit units this one is faster than
fp32 for any number of rows.

Int4 keeps a scale and a zero for each group of a row and runs torch's 4-bit kernel, in bfloat16: half the memory of int8.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import nn

_HIGH = 128
_STEPS = 127 * _HIGH  # an activation is a whole number of steps; the high part then fits into 8 bits
_EXACT = 2**24 // 127**2  # so many products of 8-bit numbers have a sum that fp32 holds exactly, in any order
_AT_ONCE = 2**20  # weights that are copied to fp32 at a time: 4 MiB
GROUP = 32  # weights that share a scale and a zero in 4 bits


def to_int8(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [out, in] as int8 [out, in] and scales [out] in fp32; weight ≈ int8 · scale."""
    weight = weight.detach().float()
    scale = (weight.abs().amax(1) / 127).clamp_min(1e-12)
    return (weight / scale[:, None]).round_().to(torch.int8), scale


def to_int4(weight: torch.Tensor, group: int = GROUP) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [out, in] as nibbles [out, in/2] (even columns low) and scale with zero [in/group, out, 2] in bfloat16.

    weight ≈ (nibble − 8) · scale + zero, which is how torch's kernel reads it.
    """
    groups = weight.detach().float().unflatten(1, (-1, group))
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    # Both are rounded first, so that the nibbles make up for the rounding.
    scale = ((high - low) / 15).clamp_min(1e-12).bfloat16().float()
    zero = (low + 8 * scale).bfloat16().float()
    nibbles = ((groups - zero) / scale + 8).round_().clamp_(0, 15).flatten(1).to(torch.uint8)
    packed = nibbles[:, ::2] | (nibbles[:, 1::2] << 4)
    return packed, torch.cat((scale, zero), -1).transpose(0, 1).contiguous().bfloat16()


def int8_product(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """x [..., in] times the weight int8 [out, in] with its scales [out], in the type of x."""
    if not _int8_works():
        return F.linear(x, (weight.float() * scale[:, None]).to(x.dtype))
    rows = x.reshape(-1, x.shape[-1]).float()
    step = torch.linalg.vector_norm(rows, math.inf, 1, keepdim=True).clamp_min_(1e-30).mul_(1 / _STEPS)
    low = rows / step
    high = (low / _HIGH).round_()
    sums = _whole_sums(torch.cat((high, low.sub_(high, alpha=_HIGH).round_())), weight)
    out = torch.add(sums[len(rows) :], sums[: len(rows)], alpha=_HIGH).mul_(scale).mul_(step)
    return out.view(*x.shape[:-1], -1).to(x.dtype)


def _whole_sums(parts: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """parts [rows, in], whole numbers of 8 bits in fp32, times int8 weight [out, in]; no sum is rounded before it is whole."""
    if _int8_units():
        return torch._int_mm(parts.to(torch.int8), weight.t()).float()
    sums = []
    for some in weight.split(max(1, _AT_ONCE // weight.shape[1])):
        columns = zip(parts.split(_EXACT, 1), some.float().split(_EXACT, 1))
        first, *rest = (a @ b.t() for a, b in columns)
        sums.append(sum((part.int() for part in rest), first.int()).float() if rest else first)
    return torch.cat(sums, 1)


class Int8Linear(nn.Module):
    """A linear layer with its weight in int8."""

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.in_features, self.out_features = inputs, outputs
        self.register_buffer("weight", torch.empty(outputs, inputs, dtype=torch.int8))
        self.register_buffer("scale", torch.empty(outputs))
        self.register_buffer("bias", torch.empty(outputs) if bias else None)

    @classmethod
    def of(cls, layer: nn.Linear) -> "Int8Linear":
        """The 8-bit copy of a layer."""
        new = cls(layer.in_features, layer.out_features, layer.bias is not None)
        new.weight, new.scale = to_int8(layer.weight)
        new.bias = None if layer.bias is None else layer.bias.detach().float()
        return new

    def dequantized(self) -> torch.Tensor:
        """The weight [out, in] in fp32."""
        return self.weight.float() * self.scale[:, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., in] → [..., out]."""
        y = int8_product(x, self.weight, self.scale)
        return y if self.bias is None else y + self.bias


class Int8Embedding(nn.Module):
    """An embedding table in int8, one scale per token."""

    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(self, tokens: int, width: int, padding_idx: int | None = None, factor: float = 1.0) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim, self.padding_idx, self.factor = tokens, width, padding_idx, factor
        self.register_buffer("weight", torch.empty(tokens, width, dtype=torch.int8))
        self.register_buffer("scale", torch.empty(tokens))

    @classmethod
    def of(cls, layer: nn.Embedding) -> "Int8Embedding":
        """The 8-bit copy of a table; Gemma's tables multiply by a factor, which stays outside the weights."""
        new = cls(layer.num_embeddings, layer.embedding_dim, layer.padding_idx, factor_of(layer))
        new.weight, new.scale = to_int8(layer.weight)
        return new

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """ids [...] → [..., width]."""
        found = self.weight[ids].float() * self.scale[ids][..., None]
        return found * self.factor if self.factor != 1.0 else found


class Int8TiedHead(nn.Module):
    """The output layer of a model whose head is its embedding table; it owns no weights."""

    def __init__(self, table: Int8Embedding) -> None:
        super().__init__()
        self._table = (table,)  # a tuple hides it from state dicts: the table is saved once

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., width] → logits [..., tokens]."""
        (table,) = self._table
        return int8_product(x, table.weight, table.scale)


class Int4Linear(nn.Module):
    """A linear layer with its weight in 4 bits.

    Saved in a layout of its own; `pack` turns it into that of this machine's kernel, which differs between CPUs.
    """

    weight: torch.Tensor
    scale_zero: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, inputs: int, outputs: int, bias: bool, group: int = GROUP) -> None:
        super().__init__()
        self.in_features, self.out_features, self.group, self.packed = inputs, outputs, group, False
        self.register_buffer("weight", torch.empty(outputs, inputs // 2, dtype=torch.uint8))
        self.register_buffer("scale_zero", torch.empty(inputs // group, outputs, 2, dtype=torch.bfloat16))
        self.register_buffer("bias", torch.empty(outputs) if bias else None)

    @classmethod
    def of(cls, layer: nn.Linear, group: int = GROUP) -> "Int4Linear":
        """The 4-bit copy of a layer."""
        new = cls(layer.in_features, layer.out_features, layer.bias is not None, group)
        new.weight, new.scale_zero = to_int4(layer.weight, group)
        new.bias = None if layer.bias is None else layer.bias.detach().float()
        return new

    @staticmethod
    def fits(layer: nn.Linear, group: int = GROUP) -> bool:
        """Whether the kernel takes a layer of this size."""
        return layer.in_features % group == 0 and layer.out_features % 16 == 0

    def _nibbles(self) -> torch.Tensor:
        return torch.stack((self.weight & 15, self.weight >> 4), -1).flatten(1)

    def dequantized(self) -> torch.Tensor:
        """The weight [out, in] in fp32; before `pack` only."""
        scale, zero = (part.t().repeat_interleave(self.group, 1) for part in self.scale_zero.float().unbind(-1))
        return (self._nibbles().float() - 8) * scale + zero

    def pack(self) -> None:
        """Bring the weight into the kernel's layout, where this build of torch has the kernel."""
        if not self.packed and _int4_works(self.group):
            self.weight = torch.ops.aten._convert_weight_to_int4pack_for_cpu(self._nibbles().int(), 1)
            self.scale_zero = self.scale_zero.bfloat16()
            self.packed = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [..., in] → [..., out] in the type of x."""
        if self.packed:
            rows = x.reshape(-1, self.in_features).bfloat16()
            y: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(rows, self.weight, self.group, self.scale_zero)
            y = y.view(*x.shape[:-1], -1).to(x.dtype)
        else:
            y = F.linear(x, self.dequantized().to(x.dtype))
        return y if self.bias is None else y + self.bias


def factor_of(layer: nn.Module) -> float:
    """What an embedding multiplies its rows by (Gemma: √width)."""
    factor = getattr(layer, "scalar_embed_scale", None)
    return 1.0 if factor is None else float(factor)


@lru_cache
def _int8_works() -> bool:
    """Whether 8-bit sums are exact here. Old CPUs add pairs of products in 16 bits, where large ones overflow."""
    sign = torch.ones(64, dtype=torch.int8)
    sign[::3] = -1
    a, b = (127 * sign).repeat(4, 1), (127 * sign).repeat(48, 1)
    try:
        return bool((torch._int_mm(a, b.t()) == 64 * 127 * 127).all())
    except (AttributeError, RuntimeError, NotImplementedError):
        return False


@lru_cache
def _int8_units() -> bool:
    """Whether torch's 8-bit product is fast here. With AVX2 alone it adds one by one, 5 to 60 times slower than fp32."""
    found = torch.cpu.get_capabilities()
    return found.get("architecture") != "x86_64" or any(found.get(name) for name in ("avx512_f", "avx_vnni"))


@lru_cache
def _int4_works(group: int) -> bool:
    """Whether this build has the 4-bit kernel (it is not public) and it gives what `dequantized` says."""
    width = math.lcm(group, 64)
    layer = Int4Linear.of(nn.Linear(width, 64, bias=False), group)
    x = torch.linspace(-1, 1, 3 * width).view(3, width)
    expected = F.linear(x, layer.dequantized())
    try:
        kept = torch.ops.aten._convert_weight_to_int4pack_for_cpu(layer._nibbles().int(), 1)
        found = torch.ops.aten._weight_int4pack_mm_for_cpu(x.bfloat16(), kept, group, layer.scale_zero)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return torch.allclose(found.float(), expected, rtol=0.05, atol=0.05 * float(expected.abs().max()))
