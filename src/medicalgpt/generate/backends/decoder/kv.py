"""Keys and values of rows in the making, in slots: a row reads and writes its own slot only, and leaves when it is done.

A step is one packed row [1, N + T]: the newest token of N rows that are under way, then the T tokens of new prompts one
after the other. So new rows enter beside the others without a pass of their own, and nothing is padded. Registered with
transformers' attention interface as "slots".
"""

import contextlib
import contextvars
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from transformers import AttentionInterface

from medicalgpt.errors import ModelError
from medicalgpt.kernels.attention import TreeLayout, by_segment
from medicalgpt.rendering.batch import Span

_LAYER = "layer_idx"  # what transformers' attention layers call their number
BLOCK = 64  # tokens by which slots grow
Snapshot = dict[int, tuple[torch.Tensor, torch.Tensor]]


@dataclass
class Step:
    """What one forward pass computes: rows under way by how many tokens they hold, and prompts for the slots behind."""

    held: Sequence[int]
    prompts: Sequence[int]
    device: torch.device
    layout: TreeLayout | None = None
    positions: torch.Tensor = field(init=False)
    """[1, N + T]"""
    _masks: dict[int, torch.Tensor | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ends = [sum(self.prompts[: i + 1]) for i in range(len(self.prompts))]
        fresh = torch.cat([torch.arange(n) for n in self.prompts]) if self.prompts else torch.arange(0)
        self.rows = torch.arange(len(self.held), device=self.device)
        self.at = torch.tensor(self.held, dtype=torch.long, device=self.device)
        self.positions = torch.cat([self.at, fresh.to(self.device)])[None]
        self.last = torch.tensor([*range(len(self.held)), *(len(self.held) + e - 1 for e in ends)], device=self.device)
        if self.prompts:
            spans = [Span(e - n, e, ()) for n, e in zip(self.prompts, ends)]
            self.layout = TreeLayout(spans, fresh.to(self.device)[None])

    def width(self, ring: int) -> int:
        """Columns that rows under way read of slots with `ring` columns."""
        return min(max(self.held) + 1, ring)

    def mask(self, ring: int, like: torch.Tensor) -> torch.Tensor | None:
        """[N, 1, 1, width], 0 where a row has a key and −inf where not; None where all rows are full."""
        width = self.width(ring)
        if width not in self._masks:
            missing = torch.arange(width, device=like.device) > self.at[:, None].to(like.device)
            full = min(self.held) + 1 >= width
            zeros = like.new_zeros(len(self.held), width)
            self._masks[width] = None if full else zeros.masked_fill_(missing, float("-inf"))[:, None, None]
        return self._masks[width]


class _Layer:
    """Slots of one layer [rows, Hk, columns, D]; with a window no more columns than it has, position p in p mod window."""

    def __init__(self, rows: int, columns: int, window: int | None, k: torch.Tensor, v: torch.Tensor) -> None:
        self.window = window
        # Zeros, as a masked key still meets a weight of 0, and 0·NaN is NaN.
        self.k = k.new_zeros(rows, k.shape[1], self._columns(columns), k.shape[-1])
        self.v = v.new_zeros(rows, v.shape[1], self._columns(columns), v.shape[-1])

    def _columns(self, wanted: int) -> int:
        return min(wanted, self.window) if self.window else wanted

    @property
    def ring(self) -> int:
        return self.k.shape[2]

    def grow(self, columns: int) -> None:
        """Make room; nothing moves, because a ring has not come round before it has its final size."""
        more = self._columns(columns) - self.ring
        if more > 0:
            self.k, self.v = F.pad(self.k, (0, 0, 0, more)), F.pad(self.v, (0, 0, 0, more))

    def append(self, step: Step, k: torch.Tensor, v: torch.Tensor) -> None:
        """One token [1, Hk, N, D] of each row under way."""
        at = step.at.to(k.device) % self.ring if self.window else step.at.to(k.device)
        rows = step.rows.to(k.device)
        self.k[rows, :, at] = k[0].transpose(0, 1)
        self.v[rows, :, at] = v[0].transpose(0, 1)

    def fill(self, slot: int, k: torch.Tensor, v: torch.Tensor) -> None:
        """A prompt [Hk, T, D]; of one longer than the window its end."""
        length = k.shape[1]
        if length <= self.ring:
            self.k[slot, :, :length], self.v[slot, :, :length] = k, v
            return
        at = torch.arange(length - self.ring, length, device=k.device) % self.ring
        self.k[slot, :, at], self.v[slot, :, at] = k[:, -self.ring :], v[:, -self.ring :]


class Slots:
    """Room for `rows` rows. Rows under way are in slots 0 … N−1, new ones take the next."""

    def __init__(self, rows: int) -> None:
        self.rows, self.columns = rows, 0
        self.layers: dict[int, _Layer] = {}
        self.step: Step | None = None

    def reserve(self, tokens: int) -> None:
        """Room for so many tokens a row."""
        if tokens > self.columns:
            self.columns = max(-(-tokens // BLOCK), -(-self.columns * 5 // (4 * BLOCK))) * BLOCK
            for layer in self.layers.values():
                layer.grow(self.columns)

    def copy(self, source: int, target: int, length: int) -> None:
        """Give a slot another's first `length` tokens."""
        for layer in self.layers.values():
            n = min(length, layer.ring)
            layer.k[target, :, :n], layer.v[target, :, :n] = layer.k[source, :, :n], layer.v[source, :, :n]

    def save(self, slot: int, length: int) -> Snapshot:
        """A copy of a slot's first `length` tokens, for rows that enter later."""
        return {i: (x.k[slot, :, :length].clone(), x.v[slot, :, :length].clone()) for i, x in self.layers.items()}

    def load(self, slot: int, saved: Snapshot) -> None:
        """Fill a slot from `save`; a ring is as it was, even where slots have grown since."""
        for i, (k, v) in saved.items():
            self.layers[i].k[slot, :, : k.shape[1]], self.layers[i].v[slot, :, : v.shape[1]] = k, v

    @contextlib.contextmanager
    def running(self, step: Step) -> Iterator[None]:
        """While active, attention works on these slots."""
        self.step = step
        token = _active.set(self)
        try:
            yield
        finally:
            _active.reset(token)
            self.step = None

    def layer(self, index: int, window: int | None, k: torch.Tensor, v: torch.Tensor) -> _Layer:
        """A layer's slots, made when it is first met."""
        if index not in self.layers:
            self.layers[index] = _Layer(self.rows, self.columns, window, k, v)
        return self.layers[index]


_active: contextvars.ContextVar[Slots | None] = contextvars.ContextVar("slots", default=None)


def slot_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface: query [1, H, N + T, D], key and value [1, Hk, N + T, D] → [1, N + T, H, D].

    Raises:
        ModelError: called outside of a step, or the layer asks for attention sinks or position biases.
    """
    slots = _active.get()
    if slots is None or slots.step is None:
        raise ModelError("slot attention runs inside a decoding step only")
    if kwargs.get("s_aux") is not None or kwargs.get("position_bias") is not None:
        raise ModelError("this model's attention uses sinks or position biases, which slots do not support")
    step, under_way = slots.step, len(slots.step.held)
    scale = scaling if scaling is not None else 1.0 / math.sqrt(query.shape[-1])
    layer = slots.layer(int(getattr(module, _LAYER)), sliding_window, key, value)
    outs = []
    if under_way:
        layer.append(step, key[:, :, :under_way], value[:, :, :under_way])
        outs.append(_under_way(layer, step, query[0, :, :under_way], scale, softcap))
    if step.layout is not None:
        q, k, v = (x[:, :, under_way:] for x in (query, key, value))
        outs.append(by_segment(step.layout, q, k, v, sliding_window, scale, softcap, 0.0))
        for i, span in enumerate(step.layout.spans):
            layer.fill(under_way + i, k[0, :, span.start : span.end], v[0, :, span.start : span.end])
    return (outs[0] if len(outs) == 1 else torch.cat(outs, 1)), None


def _under_way(layer: _Layer, step: Step, q: torch.Tensor, scale: float, cap: float | None) -> torch.Tensor:
    """Attention of one token [H, N, D] a row to its slot → [1, N, H, D].

    Heads that share keys are rows of one product, so that keys are read once and not repeated.
    """
    heads, rows, size = q.shape
    width = step.width(layer.ring)
    k, v = layer.k[:rows, :, :width], layer.v[:rows, :, :width]  # [N, Hk, width, D]
    q = q.transpose(0, 1).reshape(rows, k.shape[1], heads // k.shape[1], size)
    mask = step.mask(layer.ring, q)
    if cap:
        scores = torch.tanh(q @ k.transpose(-1, -2) * (scale / cap)) * cap
        scores = scores if mask is None else scores + mask
        out = torch.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    return out.reshape(1, rows, heads, v.shape[-1])


AttentionInterface.register("slots", slot_attention)
