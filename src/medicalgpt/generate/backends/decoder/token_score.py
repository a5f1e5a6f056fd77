"""How likely a token was to the model itself: what log-probabilities are told of."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class TokenScore:
    """Log-probability of a token by the model itself, before penalty and temperature, and the likeliest ones there."""

    logp: float
    top: tuple[tuple[int, float], ...]


def top_of(logps: torch.Tensor, count: int) -> list[tuple[tuple[int, float], ...]]:
    """The likeliest tokens of each row of log-probabilities [n, V], without those that are impossible."""
    values, ids = logps.topk(min(count, logps.shape[-1]), -1)
    rows = zip(ids.tolist(), values.tolist())
    return [tuple((i, x) for i, x in zip(*row) if x > float("-inf")) for row in rows]
