"""Whether prompts of different lengths may share a batch of transformers' `generate`: asked of the model itself, once.

Most recurrent layers, and some kinds of linear attention, take the padding in front of a short prompt for text.
"""

import weakref
from collections.abc import Callable, Sequence

import torch
from torch import nn
from transformers import GenerationConfig
from transformers.generation.utils import GenerateDecoderOnlyOutput

from medicalgpt.generate.backends.modes import inference, own_attention, own_settings_aside
from medicalgpt.models.causal_lm import CausalLM, device_of, unwrap
from medicalgpt.models.trial import TOLERANCE

GENERATE = "generate"  # declared by transformers for models with a head, which peft's wrapper passes on
_LENGTHS, _NEW = (9, 5), 3
_LIKELY = 8  # tokens compared at each position; far down in low precision all is rounding

_known: "weakref.WeakKeyDictionary[CausalLM, bool]" = weakref.WeakKeyDictionary()


def takes_padding(model: nn.Module, pad_id: int) -> bool:
    """Whether a prompt padded on the left is answered as it is alone, by its own logits and by those from the cache."""
    inner = unwrap(model)
    if inner not in _known:
        # What transformers marks as stateful needs no trial, and low precision could hide a small leak.
        _known[inner] = not getattr(inner, "_is_stateful", False) and _agrees(model, inner, pad_id)
    return _known[inner]


def _agrees(model: nn.Module, inner: CausalLM, pad_id: int) -> bool:
    vocabulary = int(inner.config.get_text_config().vocab_size)
    generator = torch.Generator().manual_seed(0)
    texts = [torch.randint(vocabulary, (n,), generator=generator).tolist() for n in _LENGTHS]
    tolerance = TOLERANCE.get(next(model.parameters()).dtype, 1e-3)
    with inference(model), own_attention(inner), own_settings_aside(model, inner):
        try:
            together = _logits(model, texts, pad_id)
        except Exception:  # whatever a foreign forward raises on padding, the answer is the same
            return False
        for row, text in enumerate(texts):
            for mine, alone in zip(together[:, row], _logits(model, [text], pad_id)[:, 0]):
                best = alone.topk(min(_LIKELY, len(alone)))
                if not float((mine[best.indices] - best.values).abs().max()) <= tolerance:
                    return False
                if mine.argmax() != best.indices[0]:  # a tie: from here on the two continue different texts
                    break
    return True


def _logits(model: nn.Module, texts: Sequence[Sequence[int]], pad_id: int) -> torch.Tensor:
    """Log-probabilities [steps, B, V] of a greedy continuation."""
    width = max(map(len, texts))
    device = device_of(model)
    settings = {"max_new_tokens": _NEW, "do_sample": False, "pad_token_id": pad_id}
    generate: Callable[..., GenerateDecoderOnlyOutput] = getattr(model, GENERATE)
    out = generate(
        input_ids=torch.tensor([[pad_id] * (width - len(t)) + list(t) for t in texts], device=device),
        attention_mask=torch.tensor([[0] * (width - len(t)) + [1] * len(t) for t in texts], device=device),
        generation_config=GenerationConfig(output_logits=True, return_dict_in_generate=True, **settings),
    )
    assert out.logits is not None  # output_logits
    return torch.log_softmax(torch.stack(out.logits).float(), -1)
