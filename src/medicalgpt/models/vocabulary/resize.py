"""Embeddings for new tokens: rows that start as the mean of the rows they replace, and how an adapter trains them."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from medicalgpt.errors import ModelError
from medicalgpt.models.vocabulary.token_map import TokenMap


def rows_of(model: nn.Module) -> int:
    """Rows of a model's input embedding; families pad them beyond their tokenizer's size."""
    return int(model.get_input_embeddings().weight.shape[0])  # type: ignore[operator]


@torch.no_grad()
def resize(model: nn.Module, token_map: TokenMap) -> None:
    """Give a base model rows for every new token, in its input embedding and its head, tied or not.

    A new row is the mean of the rows of the old tokens it replaces; rows that only pad the matrix are the mean of all old
    ones. What the model says about old tokens does not change.

    Raises:
        ModelError: the model has fewer rows than the old vocabulary has tokens.
    """
    present = rows_of(model)
    if present < token_map.first:
        raise ModelError(
            f"the token map extends a vocabulary of {token_map.first} tokens, but the model has {present} embeddings; it belongs "
            "to another model"
        )
    wanted = token_map.rows(present)
    if wanted != present:
        model.resize_token_embeddings(wanted, mean_resizing=False)  # type: ignore[operator]
    for matrix in _matrices(model):
        _fill(matrix, token_map, present)


def _matrices(model: nn.Module) -> Iterator[torch.Tensor]:
    """The tensors that have one row a token, each once."""
    inputs, output = embeddings(model)
    yield inputs.weight
    if output is not None and output.weight is not inputs.weight:
        yield output.weight
    if output is not None and getattr(output, "bias", None) is not None:
        yield output.bias


def embeddings(model: nn.Module) -> tuple[Any, Any]:
    """Input embedding and head; None for the head of a model that scores."""
    output = getattr(model, "get_output_embeddings", lambda: None)()
    return model.get_input_embeddings(), output  # type: ignore[operator]


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


def trained_rows(model: nn.Module, token_map: TokenMap) -> dict[str, Any]:
    """peft settings by which a LoRA adapter trains the rows of new tokens, and nothing else of these matrices.

    `trainable_token_indices` stores just those rows; `modules_to_save` would train and store both matrices whole, old
    tokens with them. It is the only choice for a head with a bias, which peft's token layer would leave out.
    """
    inputs, output = embeddings(model)
    names = {id(module): name for name, module in model.named_modules()}
    rows = {names[id(inputs)]: list(token_map.new_ids)}
    if output is None or output.weight is inputs.weight:
        return {"trainable_token_indices": rows}
    if getattr(output, "bias", None) is not None:
        return {"trainable_token_indices": rows, "modules_to_save": [names[id(output)]]}
    return {"trainable_token_indices": rows | {names[id(output)]: list(token_map.new_ids)}}
