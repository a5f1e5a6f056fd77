"""Which backend is right for a model: asked of the model itself, on two short texts, before it answers.

The decoder's logits of a few tokens are compared with those of the model's own forward pass over the whole text. Recurrent
states, position biases and caches of a kind of their own fail here or before, and go through transformers' `generate`.
"""

import weakref
from collections.abc import Iterator, Sequence

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from medicalgpt.generate.backends.base import Backend
from medicalgpt.generate.backends.decoder.backend import Decoder
from medicalgpt.generate.backends.decoder.kv import Slots, Step
from medicalgpt.generate.backends.modes import attention_named, inference, own_attention
from medicalgpt.generate.backends.transformers import TransformersBackend
from medicalgpt.kernels.known_tokens import KnownTokens
from medicalgpt.models.causal_lm import CausalLM, device_of, unwrap
from medicalgpt.models.trial import rounding

_PROMPTS, _NEW = (9, 5), 3  # tokens of the prompts, and steps behind the first; the second prompt enters a step later
_LIKELY = 8  # tokens compared at each position; far down in low precision all is rounding

_known: "weakref.WeakKeyDictionary[CausalLM, bool]" = weakref.WeakKeyDictionary()


def backend_for(
    model: nn.Module,
    stop_ids: Sequence[int],
    pad_id: int,
    known: KnownTokens | None = None,
    inference_only: bool = False,
) -> Backend:
    """The decoder where it gives the model's own numbers, else transformers' `generate`. A model is asked once.

    Args:
        known: the ids that may be chosen; None: all.
        inference_only: the model's weights never change again.
    """
    inner = unwrap(model)
    if inner not in _known:
        _known[inner] = _decodes(model, inner)
    if _known[inner]:
        return Decoder(model, stop_ids, known, inference_only)
    return TransformersBackend(model, stop_ids, pad_id, known)


def _decodes(model: nn.Module, inner: CausalLM) -> bool:
    if not getattr(inner, "_supports_attention_backend", False):
        return False
    vocabulary = int(inner.config.get_text_config().vocab_size)
    generator = torch.Generator().manual_seed(0)
    lengths = [n + _NEW - i for i, n in enumerate(_PROMPTS)]
    texts = [torch.randint(vocabulary, (n,), generator=generator).tolist() for n in lengths]
    try:
        with inference(model):
            with own_attention(inner):
                truth = torch.cat(list(_own(model, texts)))
            with attention_named(inner, "slots"):
                slots = Slots(len(texts))
                found = torch.cat(list(_decoded(inner, slots, texts)))
        windows = [layer.window for _, layer in sorted(slots.layers.items())]
        if windows != _windows(inner.config):
            return False
        best = truth.topk(_LIKELY, -1)
        gap = (found.gather(-1, best.indices) - best.values).abs().max()
    except Exception:  # whatever a foreign forward raises, the answer is the same: the decoder is not for this model
        return False
    return bool(gap <= rounding(model))


def _own(model: nn.Module, texts: Sequence[Sequence[int]]) -> Iterator[torch.Tensor]:
    """Log-probabilities [positions, V] behind the prompt and each later token, by the model as it is."""
    for ids, prompt in zip(texts, _PROMPTS):
        logits = model(input_ids=torch.tensor([ids], device=device_of(model)), use_cache=False).logits[0, prompt - 1 :]
        yield torch.log_softmax(logits.float(), -1)


def _decoded(inner: CausalLM, slots: Slots, texts: Sequence[Sequence[int]]) -> Iterator[torch.Tensor]:
    """The same by the decoder's way."""
    device = device_of(inner)
    slots.reserve(max(map(len, texts)))
    out: list[list[torch.Tensor]] = [[] for _ in texts]
    for now in range(_NEW + 1):
        held = [_PROMPTS[i] + now - i - 1 for i in range(min(now, len(texts)))]
        fresh = texts[now][: _PROMPTS[now]] if now < len(texts) else []
        ids = [*(ids[n] for ids, n in zip(texts, held)), *fresh]
        step = Step(held, [len(fresh)] if fresh else [], device)
        with slots.running(step):
            logits = inner(
                input_ids=torch.tensor([ids], device=device),
                position_ids=step.positions,
                use_cache=False,
                logits_to_keep=step.last,
            ).logits[0]
        for rows, z in zip(out, torch.log_softmax(logits.float(), -1)):
            rows.append(z)
    for rows in out:
        yield torch.stack(rows)


def _windows(config: PreTrainedConfig) -> list[int | None]:
    """The sliding window of each layer as transformers' own cache reads the config; another kind of layer fails."""
    windows: list[int | None] = []
    for layer in DynamicCache(config=config).layers:
        if type(layer) is DynamicSlidingWindowLayer:
            windows.append(int(layer.sliding_window))
        elif type(layer) is DynamicLayer:
            windows.append(None)
        else:
            raise TypeError(f"cache layer {type(layer).__name__}")
    return windows
