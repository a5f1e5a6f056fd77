"""A causal language model seen the way objectives see it: a batch in, log-probabilities at its weighted positions out.

Three ways to run, chosen by probing the model itself rather than by a list of names:
tree + chunked head (fastest) → padded + chunked head → padded + the model's own forward with logits at those positions.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from medicalgpt.errors import ModelError
from medicalgpt.kernels.entropy import plain_distribution, token_distribution
from medicalgpt.kernels.head import CHUNK, Head, token_logps, weighted_nll
from medicalgpt.kernels.known_tokens import KnownTokens
from medicalgpt.kernels.ulysses import Peers
from medicalgpt.models.adapters import on_head
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.part import Own, Part
from medicalgpt.models.passes import ALONE, Passes
from medicalgpt.rendering.batch import TreeBatch

Batching = Literal["tree", "padded"]


class CausalPolicy(nn.Module):
    """Implements the objectives' `Policy` protocol for a transformers causal LM (with or without PEFT adapters)."""

    def __init__(self, model: nn.Module, batching: Batching = "tree", chunked_head: bool = True) -> None:
        super().__init__()
        self.model = model
        self.take(batching, chunked_head)
        self.neftune_alpha = 0.0
        self.peers: Peers | None = None
        """The processes that share every row with this one; all must then make the same calls."""
        # A tuple hides the frozen model from parameters(), state dicts and gradient sums.
        self._teacher: tuple[CausalPolicy | None] = (None,)
        self.passes: Passes = ALONE
        """How whoever asks it for numbers runs it."""
        self.temperature = 1.0
        """Logits are divided by it: the distribution that answers were sampled from."""
        self.known: KnownTokens | None = None
        """The ids that answers were sampled among; None: all rows. Text that is given is learned from over all rows, as
        everywhere: that is what takes the share of the others away."""

    def take(self, batching: Batching, chunked_head: bool) -> None:
        """Run as a probe found out. The chunked head reads the head's matrix, which an adapter on the head is no part of."""
        self.batching: Batching = batching
        self.chunked_head = chunked_head and not on_head(self.model)

    # -- the protocol ------------------------------------------------------------------------------------------------
    def logps(self, batch: TreeBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """log p(target) [N] with gradient and hits [N]."""
        part, own = self._part(batch)
        logps, hits = self._own_logps(part, own)
        return own.joined(logps), own.joined(hits)

    def nll(self, batch: TreeBatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Weighted NLL sum with gradient, log p(target) [N] and hits [N] without."""
        if not self.chunked_head:
            logps, hits = self.logps(batch)
            return -(logps * batch.weights).sum(), logps.detach(), hits
        part, own = self._part(batch)
        states, targets, weights = self._states(part, own), own.of(batch.targets), own.of(batch.weights)
        total, logps, hits = weighted_nll(states, self.head(), targets, weights)
        return own.summed(total), own.joined(logps), own.joined(hits)

    def distribution(self, batch: TreeBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """log p(target) [N] and entropy in nats [N], both with gradient."""
        part, own = self._part(batch)
        if not self.chunked_head:
            logps, entropy = plain_distribution(self._rows(part, own), own.of(batch.targets))
        else:
            logps, entropy = token_distribution(self._states(part, own), self.head(), own.of(batch.targets))
        return own.joined(logps), own.joined(entropy)

    def learn_from(self, teacher: "CausalPolicy") -> None:
        """Set the frozen model that `against_teacher` compares with."""
        self._teacher = (teacher,)

    @property
    def teacher(self) -> "CausalPolicy | None":
        """The frozen model that `against_teacher` compares with."""
        return self._teacher[0]

    def against_teacher(
        self, batch: TreeBatch, compare: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """`compare` of both next-token distributions at the batch's positions [N], in chunks, with gradient.

        Families pad their vocabulary to different widths; ids beyond the narrower one exist in no tokenizer.
        """
        teacher = self.teacher
        if teacher is None:
            raise ValueError("this policy has no teacher")
        row, own = self._part(batch)
        with torch.no_grad():
            theirs, their_head = teacher.passes.run(lambda: teacher._logits_of(row, own))
        ours, our_head = self._logits_of(row, own)

        def part(mine: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            a, b = our_head(mine), their_head(other)
            width = min(a.shape[-1], b.shape[-1], self.known.size if self.known else a.shape[-1])
            return compare(torch.log_softmax(a[:, :width], -1), torch.log_softmax(b[:, :width], -1))

        chunks = zip(ours.split(CHUNK), theirs.split(CHUNK))
        # Logits of one chunk at a time: they are computed once more in the backward pass instead of being kept.
        found = [checkpoint(part, mine, other, use_reentrant=False) for mine, other in chunks]
        return own.joined(torch.cat(found) if found else ours.new_zeros(0))

    def _logits_of(self, part: Part, own: Own) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
        """States [n, …] and what turns them into logits; the logits themselves where the head is not ours to run."""
        if self.chunked_head:
            return self._states(part, own), self.head().logits
        return self._rows(part, own), lambda rows: rows

    @torch.no_grad()
    def candidates(self, batch: TreeBatch, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """log p [M] in float32 of several next tokens a state: of `targets` [M] behind state number `states` [M] of `batch.at`.

        `states` ascend. The logits of a state are computed once, however many tokens are asked of it.
        """
        rows, head = self._logits_of(Part(batch), Own(batch.at))
        found = []
        for first in range(0, len(rows), CHUNK):
            logits = head(rows[first : first + CHUNK]).float()
            begin, end = torch.searchsorted(states, torch.tensor([first, first + CHUNK], device=states.device)).tolist()
            mine = states[begin:end] - first
            found.append(logits[mine, targets[begin:end]] - logits.logsumexp(-1)[mine])
        return torch.cat(found) if found else torch.empty(0)

    # -- how it is done ----------------------------------------------------------------------------------------------
    def head(self) -> Head:
        """The output layer as tensors."""
        inner = unwrap(self.model)
        layer, config = inner.get_output_embeddings(), inner.config.get_text_config()
        if layer is None:
            raise ModelError(f"{type(inner).__name__} has no output layer, and so no probabilities of tokens")
        scale = getattr(config, "logit_scale", None) or 1.0
        if divisor := getattr(config, "logits_scaling", None):
            scale = scale / divisor
        softcap = getattr(config, "final_logit_softcapping", None)
        bias = getattr(layer, "bias", None)
        return Head(layer.weight, bias, float(scale), softcap, self.temperature, self.known)

    def _part(self, batch: TreeBatch) -> tuple[Part, Own]:
        """What this process computes of a batch, and which of its positions lie there."""
        part = Part(batch, self.peers)
        return part, part.own(batch.at)

    def _states(self, part: Part, own: Own) -> torch.Tensor:
        """Hidden states [n, D] that predict the targets of the own positions."""
        inner = unwrap(self.model)
        decoder = inner.get_decoder()
        with self._call(part) as kwargs:
            hidden: torch.Tensor = decoder(use_cache=False, **kwargs)[0]
        return hidden.reshape(-1, hidden.shape[-1])[own.at]

    def _rows(self, part: Part, own: Own) -> torch.Tensor:
        """The model's own logits [n, V] that predict the targets of the own positions."""
        with self._call(part) as kwargs:
            logits: torch.Tensor = self.model(use_cache=False, **kwargs).logits
        rows = logits.reshape(-1, logits.shape[-1])[own.at].float()
        rows = rows if self.temperature == 1.0 else rows / self.temperature
        return rows if self.known is None else self.known.forbid(rows)

    def _own_logps(self, part: Part, own: Own) -> tuple[torch.Tensor, torch.Tensor]:
        targets = own.of(part.batch.targets)
        if self.chunked_head:
            return token_logps(self._states(part, own), self.head(), targets)
        rows = self._rows(part, own)
        logps = torch.log_softmax(rows, -1).gather(1, targets[:, None])[:, 0]
        return logps, rows.argmax(-1) == targets

    @contextlib.contextmanager
    def _call(self, part: Part) -> Iterator[dict[str, object]]:
        """The forward pass's keyword arguments, with NEFTune's noise where it is on."""
        noisy = self._noisy(part) if self.neftune_alpha and self.training else None
        with part.call(noisy) as kwargs:
            yield kwargs

    def _noisy(self, part: Part) -> torch.Tensor:
        """NEFTune (arXiv 2310.05914): uniform noise of size alpha / sqrt(length · dim), length being the path's own."""
        embeds = unwrap(self.model).get_input_embeddings()(part.tokens)
        lengths = part.cut(_path_lengths(part.batch)).clamp(min=1).to(embeds.device)
        size = self.neftune_alpha / torch.sqrt(lengths * embeds.shape[-1])
        return embeds + torch.empty_like(embeds).uniform_(-1, 1) * size[..., None].to(embeds.dtype)


def _path_lengths(batch: TreeBatch) -> torch.Tensor:
    """For each token [B, T] the length of the longest path through it: what the paper calls the sequence length."""
    if batch.attention_mask is not None:
        return batch.attention_mask.sum(1, keepdim=True).expand_as(batch.input_ids).clamp(min=1).float()
    longest = [int(batch.position_ids[0, s.end - 1]) + 1 for s in batch.spans]
    for i in range(len(batch.spans) - 1, -1, -1):
        for a in batch.spans[i].ancestors:
            longest[a] = max(longest[a], longest[i])
    out = torch.empty(batch.input_ids.shape[1])
    for s, n in zip(batch.spans, longest):
        out[s.start : s.end] = n
    return out[None]
