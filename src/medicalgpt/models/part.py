"""The part of a packed row that this process computes, where several share it; all of it where none do."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from medicalgpt.kernels.attention import TreeLayout, using
from medicalgpt.kernels.ulysses import Peers, joined, summed
from medicalgpt.rendering.batch import Span, TreeBatch


@dataclass(frozen=True)
class Own:
    """Of the N positions that were asked for, those whose states are computed here.

    `at` [n] indexes the own hidden states; `where` [n] gives their numbers among the N (None: all of them, in order).
    """

    at: torch.Tensor
    where: torch.Tensor | None = None
    total: int = 0
    peers: Peers | None = None

    def of(self, values: torch.Tensor) -> torch.Tensor:
        """From one value a position [N] those of the own ones [n]."""
        return values if self.where is None else values[self.where]

    def joined(self, values: torch.Tensor) -> torch.Tensor:
        """The values [N] of all positions, on every process, from those of the own ones [n]."""
        if self.where is None or self.peers is None:
            return values
        return joined(values, self.where, self.total, self.peers)

    def summed(self, value: torch.Tensor) -> torch.Tensor:
        """The sum over all positions from that over the own ones."""
        return value if self.peers is None else summed(value, self.peers)


@dataclass(frozen=True)
class Part:
    """A batch, and the processes that share its row."""

    batch: TreeBatch
    peers: Peers | None = None

    @property
    def place(self) -> tuple[int, int]:
        """The own tokens among those of the row, padded to a multiple of the processes: from, to."""
        width = self.batch.input_ids.shape[1]
        if self.peers is None:
            return 0, width
        share = self.peers.share(width)
        return self.peers.rank * share, (self.peers.rank + 1) * share

    @property
    def tokens(self) -> torch.Tensor:
        """Ids of the own tokens [B, t]."""
        return self.cut(self.batch.input_ids)

    def cut(self, values: torch.Tensor) -> torch.Tensor:
        """Of one value a token [B, T] those of the own tokens [B, t]; 0 where the row is padded."""
        if self.peers is None:
            return values
        first, end = self.place
        return F.pad(values, (0, max(0, end - values.shape[1])))[:, first:end]

    def own(self, at: torch.Tensor) -> Own:
        """Those of the row's positions `at` [N] that lie here."""
        if self.peers is None:
            return Own(at)
        first, end = self.place
        where = ((at >= first) & (at < end)).nonzero()[:, 0]
        return Own(at[where] - first, where, len(at), self.peers)

    @contextlib.contextmanager
    def call(self, embeds: torch.Tensor | None = None) -> Iterator[dict[str, object]]:
        """Keyword arguments of a decoder's forward pass on the own tokens, with the tree layout active while it runs.

        Args:
            embeds: what takes the place of their embeddings [B, t, D].

        Raises:
            ValueError: a batch of padded rows is to be shared; each of those is a row of its own.
        """
        inputs: dict[str, object] = {"input_ids": self.tokens} if embeds is None else {"inputs_embeds": embeds}
        if not self.batch.spans:
            if self.peers is not None:
                raise ValueError("only packed rows are shared between processes")
            yield {**inputs, "attention_mask": self.batch.attention_mask}
            return
        layout = self._layout()
        first, end = self.place
        with using(layout):
            yield {**inputs, "position_ids": layout.positions[None, first:end], "tree": layout}

    def _layout(self) -> TreeLayout:
        """That of the whole row; what it is padded with is a segment that nothing sees."""
        positions, spans, width = self.batch.position_ids, self.batch.spans, self.batch.input_ids.shape[1]
        more = 0 if self.peers is None else self.peers.share(width) * self.peers.size - width
        if more:
            padding = torch.arange(more, device=positions.device)[None]
            positions, spans = torch.cat([positions, padding], 1), (*spans, Span(width, width + more))
        return TreeLayout(spans, positions, self.peers)
