"""Trees as the bytes that a store holds of them: quickly made, sent to another process and written."""

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

import numpy as np

from medicalgpt.data.records import Source
from medicalgpt.rendering.tree import Segment, TokenTree

SEGMENT: Final = 4
"""Fields of a segment's line: tree, parent, first token, end."""
SOURCE: Final = 3
"""Fields of a tree's line: file, row, verdict."""
NO_VERDICT: Final = -1
_SEGMENT, _SOURCE = Struct("=4q"), Struct("=3q")


class Packed(NamedTuple):
    """Checked trees of one file. `ids` are int32, `weights` float32; `segments` and `sources` lines of int64, counting from 0."""

    ids: bytes
    weights: bytes
    segments: bytes
    sources: bytes

    @property
    def size(self) -> int:
        """How many trees."""
        return len(self.sources) // _SOURCE.size

    @property
    def parts(self) -> int:
        """How many segments they have together."""
        return len(self.segments) // _SEGMENT.size

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each tree."""
        segments = lines(self.segments, SEGMENT)
        return np.bincount(segments[:, 0], segments[:, 3] - segments[:, 2], self.size).astype(np.int64)

    def trees(self, file: str) -> list[TokenTree]:
        """The trees again."""
        ids, weights = np.frombuffer(self.ids, np.int32), np.frombuffer(self.weights, np.float32)
        segments = lines(self.segments, SEGMENT).tolist()
        return [
            TokenTree(
                tuple(Segment(ids[a:b], weights[a:b], p) for t, p, a, b in segments if t == number),
                Source(file, row),
                None if verdict == NO_VERDICT else bool(verdict),
            )
            for number, (_, row, verdict) in enumerate(lines(self.sources, SOURCE).tolist())
        ]


def pack(trees: Sequence[TokenTree]) -> Packed:
    """Check trees that come from the same file. Raises RenderError for one that is not well formed."""
    ids, weights, segments, sources = list[bytes](), list[bytes](), list[bytes](), list[bytes]()
    tokens = 0
    for number, tree in enumerate(trees):
        tree.check()
        for s in tree.segments:
            ids.append(s.ids.astype(np.int32, copy=False).tobytes())
            weights.append(s.weights.astype(np.float32, copy=False).tobytes())
            segments.append(_SEGMENT.pack(number, s.parent, tokens, tokens + len(s.ids)))
            tokens += len(s.ids)
        verdict = NO_VERDICT if tree.desirable is None else int(tree.desirable)
        sources.append(_SOURCE.pack(0, tree.source.row, verdict))
    return Packed(b"".join(ids), b"".join(weights), b"".join(segments), b"".join(sources))


def lines(written: bytes, fields: int) -> np.ndarray:
    """Lines of int64, shape [lines, fields]."""
    return np.frombuffer(written, np.int64).reshape(-1, fields)
