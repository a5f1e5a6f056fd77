"""Log-prob functions of a loaded model, for comparing it with another (see export/equivalence.py)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from medicalgpt.kernels import attention
from medicalgpt.models.causal_lm import device_of, unwrap
from medicalgpt.models.reward import SCORE


def language_logprobs(model: nn.Module) -> Callable[[Sequence[int]], torch.Tensor]:
    """Log-probabilities [positions, vocabulary] in fp32 of the next token, by the model's own forward pass."""

    def logprobs(ids: Sequence[int]) -> torch.Tensor:
        with _asked(model):
            logits: torch.Tensor = model(input_ids=_row(model, ids), use_cache=False).logits[0]
            return torch.log_softmax(logits.float(), -1).cpu()

    return logprobs


def score_logprobs(model: nn.Module) -> Callable[[Sequence[int]], torch.Tensor]:
    """The score [1] that a reward model gives at a prompt's last token."""

    def logprobs(ids: Sequence[int]) -> torch.Tensor:
        inner = unwrap(model)
        with _asked(model):
            hidden: torch.Tensor = getattr(inner, inner.base_model_prefix)(input_ids=_row(model, ids), use_cache=False)[
                0
            ]
            head: nn.Module = getattr(inner, SCORE)
            score: torch.Tensor = head(hidden[0, -1].to(next(head.parameters()).dtype))
            return score.float().cpu()

    return logprobs


def _row(model: nn.Module, ids: Sequence[int]) -> torch.Tensor:
    return torch.tensor([list(ids)], device=device_of(model))


@contextmanager
def _asked(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, and the attention the model was loaded with (tree attention has no soft-capping)."""
    inner, training = unwrap(model), model.training
    tree = getattr(inner.config, "_attn_implementation", None) == "tree"
    if tree:
        attention.disable(inner)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
        if tree:
            attention.enable(inner)
