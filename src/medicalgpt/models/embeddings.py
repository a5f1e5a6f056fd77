"""One embedding a token: a model whose tokenizer has more, or fewer, tokens than it has rows."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from medicalgpt.errors import ModelError
from medicalgpt.models.pull import to_stderr


def rows(model: Any) -> int:
    """How many tokens the model has embeddings for."""
    return int(model.get_input_embeddings().weight.shape[0])


def require_rows(model: Any, tokenizer: Any, written: Iterable[int]) -> None:
    """Refuse a tokenizer with tokens that the model has no embedding for, if text or template can bring them.

    Many tokenizers have a special token more than their model has rows, for padding or images, which no text becomes.

    Args:
        written: ids that the chat template writes.

    Raises:
        ModelError: with the counts and what to do.
    """
    have = rows(model)
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    beyond = {i for i in tokenizer.get_vocab().values() if i >= have} - special | {i for i in written if i >= have}
    if beyond:
        raise ModelError(
            f"the tokenizer has {len(beyond)} tokens that the model has no embedding for (it has {have}); give the "
            "tokenizer that the model was trained with, or --resize-embeddings (--resize_emb) where it was trained with "
            "a larger one"
        )


@torch.no_grad()
def resize(model: Any, tokens: int, say: Callable[[str], None] = to_stderr) -> None:
    """Make the rows of input embeddings and head as many as the tokens, and say so.

    An adapter that was trained with a larger tokenizer brings rows of its own for the new tokens; where it does not, they
    stay the mean of the others. That gives a new token an average logit, which is never the largest: random rows could be.
    """
    before = rows(model)
    if tokens == before:
        return
    means = [part.weight.float().mean(0) for part in _parts(model)]
    model.resize_token_embeddings(tokens, mean_resizing=False)
    if tokens < before:
        say(f"embeddings cut from {before} to {tokens} tokens, as many as the tokenizer has")
        return
    for part, mean in zip(_parts(model), means):
        part.weight[before:] = mean.to(part.weight.dtype)
        bias = getattr(part, "bias", None)
        if isinstance(bias, nn.Parameter):
            bias[before:] = bias[:before].float().mean().to(bias.dtype)
    say(f"embeddings grown from {before} to {tokens} tokens; the {tokens - before} new rows are the mean of the others")


def _parts(model: Any) -> list[Any]:
    """Input embeddings and head; the same weights twice where they are tied."""
    return [part for part in (model.get_input_embeddings(), model.get_output_embeddings()) if part is not None]
