"""Sums and means over the segments (prompts and answers) of a batch."""

import torch

from medicalgpt.objectives.base import Batch


def segment_sums(values: torch.Tensor, segment: torch.Tensor, segments: int) -> torch.Tensor:
    """Sum of `values` [N] within each segment [segments]."""
    return torch.zeros(segments, dtype=values.dtype, device=values.device).index_add(0, segment, values)


def pair_means(logps: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Mean log-probability per token [P, 2] of each pair's chosen and rejected answer, from log-probabilities [N]."""
    pairs = batch.leaves.reshape(-1, 2)
    lengths = segment_sums(batch.weights, batch.segment, batch.segments)[pairs]
    return segment_sums(logps * batch.weights, batch.segment, batch.segments)[pairs] / lengths
