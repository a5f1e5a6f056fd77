"""One embedding a token: a model whose tokenizer has more, or fewer, tokens than it has rows.

A token map says which old tokens each new one replaces, so that its row starts from theirs, and an adapter trains those
rows alone. Without a map nothing is known about new tokens: their rows are the mean of all others.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypedDict

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from medicalgpt.errors import ModelError
from medicalgpt.models.causal_lm import CausalLM, TokenMatrix, unwrap
from medicalgpt.models.console import to_stderr
from medicalgpt.models.token_map import FILE, TokenMap


def rows(model: nn.Module | CausalLM) -> int:
    """How many tokens the model has embeddings for; families pad them beyond their tokenizer's size."""
    return int(unwrap(model).get_input_embeddings().weight.shape[0])


def require_rows(model: nn.Module | CausalLM, tokenizer: PreTrainedTokenizerBase, written: Iterable[int] = ()) -> None:
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
            f"the tokenizer has {len(beyond)} tokens that the model has no embedding for (it has {have}), and there is no "
            f"{FILE} that says what they mean; give the tokenizer that the model was trained with, extend its own with "
            "`medicalgpt vocab extend`, or answer with --resize-embeddings (--resize_emb) where an adapter brings their rows"
        )


class TrainedRows(TypedDict, total=False):
    """Settings of peft's `LoraConfig`."""

    trainable_token_indices: dict[str, list[int]]
    modules_to_save: list[str]


@torch.no_grad()
def resize(model: CausalLM, tokens: int, say: Callable[[str], None] = to_stderr) -> None:
    """Make the rows of input embeddings and head as many as the tokens, and say so.

    An adapter that was trained with a larger tokenizer brings rows of its own for the new tokens; where it does not, they
    stay the mean of the others. That gives a new token an average logit, which is never the largest: random rows could be.
    """
    before = rows(model)
    if tokens == before:
        return
    means = [matrix.float().mean(0) for matrix in _matrices(model)]
    model.resize_token_embeddings(tokens, mean_resizing=False)
    if tokens < before:
        say(f"embeddings cut from {before} to {tokens} tokens, as many as the tokenizer has")
        return
    for matrix, mean in zip(_matrices(model), means, strict=True):
        matrix[before:] = mean.to(matrix.dtype)
    say(f"embeddings grown from {before} to {tokens} tokens; the {tokens - before} new rows are the mean of the others")


@torch.no_grad()
def grow(model: CausalLM, token_map: TokenMap) -> None:
    """Give a base model rows for every new token, in its input embedding and its head, tied or not.

    A new row is the mean of the rows of the old tokens it replaces; rows that only pad the matrix are the mean of all old
    ones. What the model says about old tokens does not change.

    Raises:
        ModelError: the model has fewer rows than the old vocabulary has tokens.
    """
    present = rows(model)
    if present < token_map.first:
        raise ModelError(
            f"the token map extends a vocabulary of {token_map.first} tokens, but the model has {present} embeddings; it belongs "
            "to another model"
        )
    wanted = token_map.rows(present)
    if wanted != present:
        model.resize_token_embeddings(wanted, mean_resizing=False)
    for matrix in _matrices(model):
        _fill(matrix, token_map, present)


def _ends(model: CausalLM) -> tuple[TokenMatrix, TokenMatrix | None]:
    """Input embedding and head; None for the head of a model that scores."""
    output = getattr(model, "get_output_embeddings", lambda: None)()
    return model.get_input_embeddings(), output


def _matrices(model: CausalLM) -> Iterator[torch.Tensor]:
    """The tensors that have one row a token, each once."""
    inputs, output = _ends(model)
    yield inputs.weight
    if output is not None and output.weight is not inputs.weight:
        yield output.weight
    if isinstance(bias := getattr(output, "bias", None), nn.Parameter):
        yield bias


def _fill(matrix: torch.Tensor, token_map: TokenMap, present: int) -> None:
    """Set the rows of new tokens, and those beyond the vocabulary that were not there before."""
    device = matrix.device
    old = torch.tensor([i for ids in token_map.replaces for i in ids], device=device)
    owner = [n for n, ids in enumerate(token_map.replaces) for _ in ids]
    counts = torch.tensor([len(ids) for ids in token_map.replaces], device=device)
    # Means are formed in fp32, whatever type the weights have.
    sums = torch.zeros(len(counts), *matrix.shape[1:], device=device)
    sums.index_add_(0, torch.tensor(owner, device=device), matrix[old].float())
    shape = (-1, *[1] * (matrix.dim() - 1))
    matrix[token_map.first : token_map.size] = (sums / counts.reshape(shape)).to(matrix.dtype)
    padding = max(present, token_map.size)
    matrix[padding:] = matrix[: token_map.first].float().mean(0).to(matrix.dtype)


def trained_rows(model: CausalLM, token_map: TokenMap) -> "TrainedRows":
    """peft settings by which a LoRA adapter trains the rows of new tokens, and nothing else of these matrices.

    `trainable_token_indices` stores just those rows; `modules_to_save` would train and store both matrices whole, old
    tokens with them. It is the only choice for a head with a bias, which peft's token layer would leave out.
    """
    inputs, output = _ends(model)
    names = {id(module): name for name, module in model.named_modules()}
    indices = {names[id(inputs)]: list(token_map.new_ids)}
    if output is None or output.weight is inputs.weight:
        return {"trainable_token_indices": indices}
    if getattr(output, "bias", None) is not None:
        return {"trainable_token_indices": indices, "modules_to_save": [names[id(output)]]}
    return {"trainable_token_indices": indices | {names[id(output)]: list(token_map.new_ids)}}
