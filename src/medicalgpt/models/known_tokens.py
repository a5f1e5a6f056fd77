"""Which rows of a model stand for a token of its tokenizer."""

from collections.abc import Iterable

from torch import nn
from transformers import PreTrainedTokenizerBase

from medicalgpt.kernels.known_tokens import KnownTokens
from medicalgpt.models.causal_lm import CausalLM, unwrap
from medicalgpt.models.embeddings import rows
from medicalgpt.rendering.template import own_stop_ids


def known_tokens_of(model: nn.Module | CausalLM, tokenizer: PreTrainedTokenizerBase) -> KnownTokens | None:
    """`known_tokens` for a model in memory; the stop tokens that it names itself may always come."""
    inner = unwrap(model)
    return known_tokens(tokenizer, rows(inner), own_stop_ids(getattr(inner, "generation_config", None)))


def known_tokens(
    tokenizer: PreTrainedTokenizerBase, rows: int | None, stop_ids: Iterable[int] = ()
) -> KnownTokens | None:
    """The ids of a matrix of `rows` rows that stand for a token; None where all of them do.

    Args:
        rows: None where it is not known; then every id beyond the tokenizer is taken to be there.
        stop_ids: ids that end an answer; one without a token of its name is still the model's way to say so.
    """
    ids = {*tokenizer.get_vocab().values(), *tokenizer.added_tokens_decoder, *stop_ids}
    end = max(max(ids, default=-1) + 1, len(tokenizer)) if rows is None else rows
    # Where two tokens are spelled alike a vocabulary lists one of them, so the tokenizer is asked for the rest.
    missing = [i for i in range(end) if i not in ids and not _named(tokenizer, i)]
    gone = frozenset(missing)
    size = next((i + 1 for i in range(end - 1, -1, -1) if i not in gone), 0)
    if not size or (not missing and rows is not None):
        return None
    return KnownTokens(size, tuple(i for i in missing if i < size))


def _named(tokenizer: PreTrainedTokenizerBase, token: int) -> bool:
    try:
        piece = tokenizer.convert_ids_to_tokens(token)
    except Exception:  # tokenizers that come with a model raise what they like for an id beyond their own
        return False
    return isinstance(piece, str) and bool(piece) and piece != tokenizer.unk_token
