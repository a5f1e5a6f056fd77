"""Log-probabilities of a prompt's own tokens, from the states that its forward pass makes anyway.

All logits of a prompt do not fit into memory (32,000 tokens times 150,000 are 20 GB), so the states are taken on their way to
the head, and the head is applied to a few of them at a time. Whether that gives the model's own numbers is looked at each
time, at the last place, whose logits the model gives itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from medicalgpt.errors import ModelError
from medicalgpt.generate.backends.decoder.token_score import TokenScore, top_of
from medicalgpt.kernels.head import Head
from medicalgpt.kernels.known_tokens import KnownTokens
from medicalgpt.models.causal_lm import CausalLM
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.trial import rounding

_CHUNK = 128  # rows of logits at a time
_LIKELY = 8  # tokens compared; far down in low precision all is rounding


@dataclass
class PromptStates:
    """The last hidden states [1, T, D] of a forward pass."""

    states: torch.Tensor | None = None


@contextmanager
def watched(model: CausalLM, wanted: bool) -> Iterator[PromptStates]:
    """Keep the states of the forward pass within, where they are wanted."""
    seen = PromptStates()
    if not wanted:
        yield seen
        return

    def keep(module: nn.Module, given: object, out: Sequence[torch.Tensor]) -> None:
        seen.states = out[0]

    hook = model.get_decoder().register_forward_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


def prompt_scores(
    model: nn.Module,
    states: torch.Tensor,
    prompt: Sequence[int],
    last: torch.Tensor,
    top: int,
    known: KnownTokens | None,
) -> list[TokenScore] | None:
    """The score of every token of a prompt but the first, which nothing predicts; None where the head is not ours to apply.

    As everywhere for text that is given, rows of the head that stand for no token have their share; only `top` leaves them out.

    Args:
        states: [T, D] of the prompt's tokens.
        last: the model's own logits [V] behind the last of them, of ids that may be chosen.
        top: how many likeliest tokens are told at each place.
    """
    try:
        head = CausalPolicy(model).head()
    except (AttributeError, ModelError):  # adapters and quantizers put layers of their own there
        return None
    if not _ours(head, states[-1:], last, model):
        return None
    found: list[TokenScore] = []
    targets = torch.tensor(prompt[1:], device=states.device)
    for first in range(0, len(targets), _CHUNK):
        logps = torch.log_softmax(head.logits(states[:-1][first : first + _CHUNK]), -1)
        chosen = targets[first : first + _CHUNK]
        own = logps.gather(1, chosen[:, None])[:, 0].tolist()
        likely = top_of(logps if known is None else known.drawable(logps), top)
        found += [TokenScore(logp, others) for logp, others in zip(own, likely)]
    return found


def _ours(head: Head, state: torch.Tensor, last: torch.Tensor, model: nn.Module) -> bool:
    best = last.topk(min(_LIKELY, len(last)))
    return bool((head.logits(state)[0, best.indices] - best.values).abs().max() <= rounding(model))
