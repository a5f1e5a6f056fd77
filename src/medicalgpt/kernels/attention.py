"""Tree attention: packed token trees in one row, each token seeing its ancestors and itself and nothing else.

Registered with transformers' attention interface as "tree". Without a layout (generation, other callers) it is plain
SDPA. On the CPU each segment is one flash-attention call; on a GPU one FlexAttention call covers the row.
"""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, PreTrainedConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from medicalgpt.errors import ModelError
from medicalgpt.kernels.flex import block_mask, soft_cap
from medicalgpt.kernels.ulysses import Peers, to_heads, to_tokens
from medicalgpt.rendering.batch import Span

_active: contextvars.ContextVar["TreeLayout | None"] = contextvars.ContextVar("tree_layout", default=None)
_witness: contextvars.ContextVar["AttentionTrace | None"] = contextvars.ContextVar("tree_witness", default=None)


@dataclass
class AttentionTrace:
    """What a model asked of tree attention while `traced`: which layers called it, and how far each may look back."""

    layers: set[int] = field(default_factory=set)
    windows: set[int] = field(default_factory=set)
    """Windows that layers handed over."""
    masked: set[int] = field(default_factory=set)
    """Windows and chunks of the masks that the model asked for; in a tree there are no masks."""

    def objection(self, config: object) -> str:
        """Why the model is not safe in trees although short ones came out right; empty when it is.

        A window of 4,096 changes nothing in the probe's few tokens, and a convolution over three tokens at the seams is
        lost in the rounding of bfloat16; both would be wrong in a real row.
        """
        count = int(getattr(config, "num_hidden_layers", 0))
        if len(self.layers) < count:
            return f"reaches {len(self.layers)} of {count} layers only: the others mix tokens by themselves"
        limit = int(getattr(config, "max_position_embeddings", 0) or 0)
        if hidden := [w for w in self.masked - self.windows if not limit or w < limit]:
            return f"cannot see the model's window of {min(hidden)} tokens, which is only in its masks"
        return ""


class TreeLayout:
    """Block structure of a packed row, computed once per batch and shared by all layers.

    Args:
        spans: the row's segments, covering it without gaps.
        position_ids: [1, T] positions along the path.
        peers: the processes that share the row's tokens; None: this one holds them all.
    """

    def __init__(self, spans: Sequence[Span], position_ids: torch.Tensor, peers: Peers | None = None) -> None:
        self.spans, self.peers = tuple(spans), peers
        self.positions = position_ids[0]
        self.sizes = [s.end - s.start for s in spans]
        self.longest = int(self.positions.max()) + 1
        self._masks: dict[int | None, list[torch.Tensor | None]] = {}
        self._block_masks: dict[int | None, object] = {}

    def masks(self, window: int | None) -> list[torch.Tensor | None]:
        """For each segment the boolean mask [queries, keys] over its ancestors and itself; None is plain causal.

        `window` limits the distance along the path, which is what the branch would see alone.
        """
        window = window if window and window < self.longest else None
        if window not in self._masks:
            self._masks[window] = [self._mask(s, window) for s in self.spans]
        return self._masks[window]

    def _mask(self, span: Span, window: int | None) -> torch.Tensor | None:
        if not span.ancestors and (window is None or span.end - span.start <= window):
            return None
        parts = [self.spans[a] for a in span.ancestors] + [span]
        keys = torch.cat([self.positions[p.start : p.end] for p in parts])
        distance = self.positions[span.start : span.end, None] - keys[None, :]
        return (distance >= 0) if window is None else (distance >= 0) & (distance < window)

    def block_mask(self, window: int | None) -> object:
        """FlexAttention's block mask of the whole row."""
        window = window if window and window < self.longest else None
        if window not in self._block_masks:
            self._block_masks[window] = block_mask(self.spans, self.positions, window)
        return self._block_masks[window]


def _capped(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, scale: float, cap: float
) -> torch.Tensor:
    """Attention with tanh soft-capping of the scores (Gemma 2, arXiv 2408.00118), which SDPA lacks."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = torch.tanh(q @ k.transpose(-1, -2) * (scale / cap)) * cap
    if mask is None:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril(
            scores.shape[-1] - scores.shape[-2]
        )
    # The least number instead of -inf: a padding query sees no key, and 0/0 there would spread through the values.
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return torch.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype) @ v


def by_segment(
    layout: TreeLayout,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    window: int | None,
    scale: float,
    cap: float | None,
    dropout: float,
) -> torch.Tensor:
    """One attention call per segment; returns [1, T, H, D]. `split` keeps the backward pass to one copy per tensor."""
    queries, keys, values = (x.split(layout.sizes, dim=2) for x in (q, k, v))
    gqa, outs = q.shape[1] != k.shape[1], []
    for i, (span, mask) in enumerate(zip(layout.spans, layout.masks(window))):
        seen = [*span.ancestors, i]
        key = torch.cat([keys[a] for a in seen], 2) if len(seen) > 1 else keys[i]
        value = torch.cat([values[a] for a in seen], 2) if len(seen) > 1 else values[i]
        if cap:
            out = _capped(queries[i], key, value, mask, scale, cap)
        else:
            out = F.scaled_dot_product_attention(
                queries[i],
                key,
                value,
                attn_mask=mask,
                is_causal=mask is None,
                scale=scale,
                dropout_p=dropout,
                enable_gqa=gqa,
            )
        outs.append(out.transpose(1, 2))
    return torch.cat(outs, 1)


def _flex(
    layout: TreeLayout,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    window: int | None,
    scale: float,
    cap: float | None,
) -> torch.Tensor:
    """The whole row in one FlexAttention call (GPU)."""
    from torch.nn.attention.flex_attention import flex_attention

    plain: Callable[..., object] = flex_attention
    attend = _compiled_flex() if q.is_cuda else plain
    out = attend(
        q,
        k,
        v,
        score_mod=soft_cap(cap, q.device) if cap else None,
        block_mask=layout.block_mask(window),
        scale=scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    assert isinstance(out, torch.Tensor)  # several only where it is asked for more than the output
    return out.transpose(1, 2).contiguous()


@cache
def _compiled_flex() -> Callable[..., object]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True)


# Their own signatures name every setting; ours pass on what a model gives.
_sdpa: Callable[..., tuple[torch.Tensor, None]] = sdpa_attention_forward
_sdpa_mask: Callable[..., torch.Tensor | None] = sdpa_mask


_BEYOND = ("s_aux", "position_bias", "block_indices", "indices")  # what a layer may ask for that trees cannot give


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    tree: TreeLayout | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface: query [1, H, T, D], key and value [1, Hk, T, D] → [1, T, H, D].

    Where processes share a row, T is this one's part of it outside of attention and the whole inside.

    Raises:
        ModelError: the layer asks for something trees cannot give (attention sinks, position biases, chosen tokens), or has
            heads that the processes cannot share.
    """
    if (witness := _witness.get()) is not None and tree is not None:
        witness.layers.add(id(module))
        witness.windows |= {sliding_window} if sliding_window else set()
    if tree is None and softcap:  # SDPA has no soft-capping; the mask, when there is one, is SDPA's boolean one
        scale = scaling if scaling is not None else 1.0 / math.sqrt(query.shape[-1])
        return _capped(query, key, value, attention_mask, scale, softcap).transpose(1, 2).contiguous(), None
    if tree is None:
        return _sdpa(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    if any(kwargs.get(name) is not None for name in _BEYOND):
        raise ModelError(
            "this model's attention uses sinks, position biases or chosen tokens, which tree batches do not support"
        )
    scale = scaling if scaling is not None else 1.0 / math.sqrt(query.shape[-1])
    if tree.peers is not None:
        query, key, value = to_heads(query, key, value, tree.peers)
    if query.is_cuda:
        out = _flex(tree, query, key, value, sliding_window, scale, softcap)
    else:
        out = by_segment(tree, query, key, value, sliding_window, scale, softcap, dropout)
    return (out if tree.peers is None else to_tokens(out, tree.peers)), None


def _tree_mask(*args: object, **kwargs: object) -> torch.Tensor | None:
    """No mask tensor while a tree batch is running; the usual SDPA mask otherwise."""
    if _active.get() is None:
        return _sdpa_mask(*args, **kwargs)
    window = kwargs.get("local_size")
    if (witness := _witness.get()) is not None and isinstance(window, int) and window:
        witness.masked.add(window)
    return None


@contextlib.contextmanager
def traced() -> Iterator[AttentionTrace]:
    """While active, note what models ask of tree attention."""
    witness = AttentionTrace()
    token = _witness.set(witness)
    try:
        yield witness
    finally:
        _witness.reset(token)


@contextlib.contextmanager
def using(layout: TreeLayout) -> Iterator[None]:
    """While active, models whose attention implementation is "tree" build no mask tensor."""
    token = _active.set(layout)
    try:
        yield
    finally:
        _active.reset(token)


class AttentionModel(Protocol):
    """A transformers model, as far as its attention is switched; `previous_attention` is what `enable` replaced."""

    config: PreTrainedConfig
    previous_attention: str | None

    def set_attn_implementation(self, attn_implementation: str) -> None:
        """Use an attention function by its registered name."""
        ...

    def modules(self) -> Iterator[torch.nn.Module]:
        """Itself and all below it."""
        ...


def enable(model: AttentionModel) -> None:
    """Switch a transformers model to tree attention if it goes through the attention interface; else leave it alone.

    Without a layout "tree" is SDPA plus soft-capping, so a model that refuses SDPA for another reason (attention sinks)
    keeps its own attention; so does one whose indexers choose the tokens that are seen: MiniMax M3 masks the others for
    attention by the names "eager" and "sdpa" only, and for the rest it would see all.
    """
    if any(type(module).__name__.endswith("Indexer") for module in model.modules()):
        return
    capped = getattr(model.config.get_text_config(), "attn_logit_softcapping", None)
    if getattr(model, "_supports_attention_backend", False) and (getattr(model, "_supports_sdpa", False) or capped):
        model.previous_attention = model.config._attn_implementation
        model.set_attn_implementation("tree")


def disable(model: AttentionModel) -> None:
    """Go back to the attention the model was loaded with."""
    if (previous := getattr(model, "previous_attention", None)) is not None:
        model.set_attn_implementation(previous)


AttentionInterface.register("tree", tree_attention)
AttentionMaskInterface.register("tree", _tree_mask)
