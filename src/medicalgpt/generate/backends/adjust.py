"""Logits before a token is chosen: bias, penalties, least length. What comes behind (temperature and what is kept) is the draw.

The order is vLLM's: what a grammar or the tokenizer rules out is −∞ already; then bias, repetition penalty, frequency and
presence penalty. OpenAI's own API has no repetition penalty, and without one the order of the others does not matter.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import torch

from medicalgpt.generate.sampling import Sampling


class Written(Protocol):
    """What is asked of a row: its settings and its tokens so far."""

    sampling: Sampling
    tokens: list[int]

    @property
    def seen(self) -> list[int]:
        """The different tokens of prompt and answer."""
        ...


def adjust(logits: torch.Tensor, rows: Sequence[Written], stop_ids: Sequence[int]) -> None:
    """Change logits [B, V] in place for rows whose samplings have one rule; a row's history changes that row only."""
    sampling = rows[0].sampling
    bias = {token: value for token, value in sampling.logit_bias if token < logits.shape[-1]}
    if bias:
        logits[:, _ids(list(bias), logits)] += logits.new_tensor(list(bias.values()))
    if sampling.repetition_penalty != 1:
        for z, row in zip(logits, rows):
            _repetition(z, row.seen, sampling.repetition_penalty)
    if sampling.frequency_penalty or sampling.presence_penalty:
        for z, row in zip(logits, rows):
            _counted(z, row.tokens, sampling.frequency_penalty, sampling.presence_penalty)
    young = [i for i, row in enumerate(rows) if len(row.tokens) < sampling.min_new_tokens]
    if young:
        ends = [i for i in stop_ids if i < logits.shape[-1]]
        logits[torch.tensor(young)[:, None], torch.tensor(ends, dtype=torch.long)] = float("-inf")


def _repetition(z: torch.Tensor, seen: Sequence[int], penalty: float) -> None:
    """Divide positive logits of tokens that stand in prompt or answer, and multiply negative ones (arXiv 1909.05858)."""
    # A prompt of token ids may hold some that no answer can.
    ids = _ids([i for i in seen if i < len(z)], z)
    found = z[ids]
    z[ids] = torch.where(found < 0, found * penalty, found / penalty)


def _counted(z: torch.Tensor, tokens: Sequence[int], frequency: float, presence: float) -> None:
    """OpenAI's penalties: z − count · frequency − (count > 0) · presence, counted in the answer and not in the prompt."""
    counts = Counter(tokens)
    if counts:
        z[_ids(list(counts), z)] -= z.new_tensor(list(counts.values())) * frequency + presence


def keep_likely(logits: torch.Tensor, min_p: float) -> torch.Tensor:
    """Logits [B, V] in which tokens less likely than `min_p` times the likeliest have no share (arXiv 2407.01082)."""
    if not min_p:
        return logits
    least = logits.amax(-1, keepdim=True) + math.log(min_p)
    return logits.masked_fill(logits < least, float("-inf"))


def _ids(ids: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(ids, dtype=torch.long, device=like.device)
