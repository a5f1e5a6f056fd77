"""The next token of every row from its logits: what `adjust` does, temperature, min-p, top-k, top-p, then one draw a row.

What counts is what transformers' warpers define, but they sort the whole vocabulary. Here the likeliest few hundred tokens
are taken; a row whose kept tokens are not all among them goes through the warpers themselves.
"""

import random
from collections.abc import Hashable, Sequence
from typing import Protocol

import torch
from transformers import TopKLogitsWarper, TopPLogitsWarper

from medicalgpt.errors import ServeError
from medicalgpt.generate.backends.adjust import Written, adjust, keep_likely

# Tokens among which those of top-p are looked for, then looked for again: 256 of 49,000 are found in a twentieth of the
# time that sorting takes, 4,096 in a quarter, and few steps of a trained model keep more.
_CANDIDATES = (256, 4096)


class Drawn(Written, Protocol):
    """What is asked of a row beside that: its random numbers."""

    random: random.Random


def check_numbers(largest: torch.Tensor) -> None:
    """Refuse NaN, which a row's maximum [B] passes on; token 0 or any other would be taken for the largest."""
    if bool(torch.isnan(largest).any()):
        raise ServeError(
            "the model's logits are not numbers (NaN); with float16 load it in bfloat16 or float32, "
            "otherwise its weights are damaged"
        )


def invert(probabilities: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Indices [B, 1] drawn by inverse transform from double probabilities [B, V], which need not add up to 1.

    uniform: [B, 1] in [0, 1).
    """
    cumulated = probabilities.cumsum(-1)
    # right=True: a token of probability 0 adds nothing to the sum and is never the first above the target
    drawn = torch.searchsorted(cumulated, uniform * cumulated[:, -1:], right=True)
    return drawn.clamp(max=probabilities.shape[-1] - 1)


def next_tokens(logits: torch.Tensor, rows: Sequence[Drawn], stop_ids: Sequence[int]) -> list[int]:
    """One token for each row of fp32 logits [B, V], which are written over; rows drawn by one rule are drawn together.

    Raises:
        ServeError: a logit is NaN.
    """
    check_numbers(logits.amax(-1))
    groups: dict[Hashable, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row.sampling.rule, []).append(i)
    if len(groups) == 1:
        return _next_tokens(logits, rows, stop_ids)
    tokens = [0] * len(rows)
    for members in groups.values():
        drawn = _next_tokens(logits[members], [rows[i] for i in members], stop_ids)
        for i, token in zip(members, drawn):
            tokens[i] = token
    return tokens


def _next_tokens(logits: torch.Tensor, rows: Sequence[Drawn], stop_ids: Sequence[int]) -> list[int]:
    """The same for rows whose samplings have one rule."""
    sampling = rows[0].sampling
    adjust(logits, rows, stop_ids)
    if sampling.greedy:
        return logits.argmax(-1).tolist()
    if sampling.temperature != 1:
        logits /= sampling.temperature
    uniform = torch.tensor([[row.random.random()] for row in rows], dtype=torch.float64, device=logits.device)
    return sample(keep_likely(logits, sampling.min_p), uniform, sampling.top_k, sampling.top_p)


def sample(logits: torch.Tensor, uniform: torch.Tensor, top_k: int, top_p: float) -> list[int]:
    """Token ids drawn from logits [B, V] (temperature and min-p applied) with uniform numbers [B, 1]."""
    if not top_k and top_p == 1:
        return invert(torch.softmax(logits.double(), -1), uniform)[:, 0].tolist()
    drawn = torch.empty(len(logits), dtype=torch.long, device=logits.device)
    rest = torch.arange(len(logits), device=logits.device)
    for count in (top_k,) if top_k else _CANDIDATES:
        if len(rest) and count < logits.shape[-1]:
            tokens, sure = _among(logits[rest], uniform[rest], count, bool(top_k), top_p)
            drawn[rest] = tokens
            rest = rest[~sure]
    if len(rest):
        kept = _warped(logits[rest], top_k, top_p)
        drawn[rest] = invert(torch.softmax(kept.double(), -1), uniform[rest])[:, 0]
    return drawn.tolist()


def _among(
    logits: torch.Tensor, uniform: torch.Tensor, count: int, only: bool, top_p: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens [B] drawn from the `count` likeliest, and whether none outside of them is kept [B].

    only: whether the others have been ruled out by top-k.
    """
    values, ids = logits.topk(count + 1)  # one more shows whether the last has an equal, which top-k keeps as well
    sure = values[:, count - 1] > values[:, count]
    values, ids = values[:, :count].double(), ids[:, :count]
    total = torch.logsumexp(values, -1, keepdim=True) if only else torch.logsumexp(logits, -1, keepdim=True).double()
    shares = (values - total).exp()
    before = shares.cumsum(-1) - shares  # of likelier tokens; top-p keeps a token while they fall short of it
    if not only:
        sure = before[:, -1] >= top_p
    if top_p < 1:
        shares = shares.masked_fill(before >= top_p, 0.0)
    ids, order = ids.sort(-1)  # drawn in the order of token ids, as from the whole distribution
    return ids.gather(1, invert(shares.gather(1, order), uniform))[:, 0], sure


def _warped(logits: torch.Tensor, top_k: int, top_p: float) -> torch.Tensor:
    none = torch.empty(0, dtype=torch.long)
    if top_k:
        logits = TopKLogitsWarper(top_k)(none, logits)
    return TopPLogitsWarper(top_p)(none, logits) if top_p < 1 else logits
