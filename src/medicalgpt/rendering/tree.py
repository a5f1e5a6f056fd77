"""A sample is a token tree: ids, loss weights and parent links that were built together.

A document or dialogue is one segment. A preference is a prompt with two branches. Tokens attend to their ancestors and
themselves, and positions count along the path, so a branch sees exactly what it would see alone.
"""

from dataclasses import dataclass

import numpy as np

from medicalgpt.data.records import Source
from medicalgpt.errors import RenderError


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens. `weights[i]` is the loss weight of predicting `ids[i]` from the token before it on the path."""

    ids: np.ndarray
    weights: np.ndarray
    parent: int = -1

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class TokenTree:
    """Segments in topological order: a parent stands before its children, and segment 0 is the root."""

    segments: tuple[Segment, ...]
    source: Source
    desirable: bool | None = None  # the verdict on the one answer of a feedback tree; None for every other tree

    def __len__(self) -> int:
        """Tokens stored (a shared prompt counts once)."""
        return sum(len(s) for s in self.segments)

    @property
    def leaves(self) -> list[int]:
        """Indices of segments without children, in order."""
        parents = {s.parent for s in self.segments}
        return [i for i in range(len(self.segments)) if i not in parents]

    @property
    def starts(self) -> list[int]:
        """Position of each segment's first token on its path."""
        starts: list[int] = []
        for s in self.segments:
            starts.append(0 if s.parent < 0 else starts[s.parent] + len(self.segments[s.parent]))
        return starts

    @property
    def longest_path(self) -> int:
        """Tokens on the longest root-to-leaf path."""
        return max(start + len(s) for start, s in zip(self.starts, self.segments))

    @property
    def trained(self) -> int:
        """Number of tokens with a loss weight."""
        return sum(int(np.count_nonzero(s.weights > 0)) for s in self.segments)

    def path(self, leaf: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and weights along the path from the root to segment `leaf`."""
        chain = []
        while leaf >= 0:
            chain.append(self.segments[leaf])
            leaf = self.segments[leaf].parent
        chain.reverse()
        return np.concatenate([s.ids for s in chain]), np.concatenate([s.weights for s in chain])

    def check(self) -> None:
        """Prove the tree is well formed and something in it is trained.

        Raises:
            RenderError: naming the row.
        """
        for i, s in enumerate(self.segments):
            if len(s.ids) != len(s.weights) or not len(s.ids):
                raise RenderError(f"{self.source}: segment {i} has {len(s.ids)} ids and {len(s.weights)} weights")
            if not -1 <= s.parent < i or (i > 0 and s.parent < 0):
                raise RenderError(f"{self.source}: segment {i} has parent {s.parent}, which does not stand before it")
        if self.segments[0].weights[0] > 0:
            raise RenderError(f"{self.source}: the first token has nothing before it to be predicted from")
        if not self.trained:
            raise RenderError(f"{self.source}: no token of this row is trained")


def chain(ids: np.ndarray | list[int], weights: np.ndarray | list[float], source: Source) -> TokenTree:
    """A tree of one segment."""
    return TokenTree((Segment(np.asarray(ids, np.int32), np.asarray(weights, np.float32)),), source)
