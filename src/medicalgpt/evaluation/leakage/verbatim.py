"""Training rows that a model goes on with word by word.

From a prefix of a row, greedy decoding writes the row's own next tokens as long as each of them is the likeliest. So one pass
over a row tells for all its prefixes at once how far their greedy continuations go along with it; nothing is sampled or written.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Document
from medicalgpt.errors import DataError
from medicalgpt.evaluation.leakage.canaries import CanaryKind
from medicalgpt.evaluation.leakage.personal import places
from medicalgpt.generate.token_text import TokenTexts
from medicalgpt.models.batches import batches
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.rendering.rows import render_dialogue, render_document
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tree import TokenTree, chain

T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """What a model makes of one row: tokens of the longest stretch of trained tokens that a greedy continuation of what stands
    before it writes, how many tokens are trained, and for each place of personal data its kind and whether it is written in full."""

    longest: int
    trained: int
    personal: tuple[tuple[str, bool], ...]

    @property
    def shape(self) -> tuple[int, tuple[str, ...]]:
        """What does not depend on the model, where two read the same tokens."""
        return self.trained, tuple(kind for kind, _ in self.personal)


def rows_of(files: Sequence[Path], kind: CanaryKind, limit: int) -> tuple[list[Dialogue | Document], int]:
    """At most `limit` rows, evenly spread over the files, and how many there are.

    Raises:
        DataError: a file cannot be read, or holds no rows of this kind.
    """
    found, count = _spread(read([str(path) for path in files], kind, ledger=Ledger()), limit)
    rows = [row for row in found if isinstance(row, Dialogue | Document)]
    if not rows:
        raise DataError(
            f"{', '.join(map(str, files))}: no rows of kind {kind}; name the training data, or another --kind"
        )
    return rows, count


def _spread(rows: Iterable[T], limit: int) -> tuple[list[T], int]:
    """At most `limit` of the rows, evenly spread, without holding more than twice as many; and how many there are."""
    kept, stride, count = list[T](), 1, 0
    for row in rows:
        if count % stride == 0:
            kept.append(row)
            if len(kept) > 2 * limit:
                kept, stride = kept[::2], 2 * stride
        count += 1
    chosen = kept if len(kept) <= limit else [kept[i * len(kept) // limit] for i in range(limit)]
    return chosen, count


def look(
    policy: CausalPolicy, template: ChatTemplate, rows: Sequence[Dialogue | Document], max_tokens: int, capacity: int
) -> Iterator[Seen]:
    """What a model makes of each row, in order. Rows are cut to `max_tokens` as in training."""
    trees = [tree for row in rows for tree in _trees(row, template, max_tokens)]
    paths = [tree.path(0) for tree in trees]
    whole = [chain(ids, [0.0] + [1.0] * (len(ids) - 1), tree.source) for tree, (ids, _) in zip(trees, paths)]
    texts = TokenTexts(template.tokenizer)
    found: dict[int, Seen] = {}
    for number, hits in _hits(policy, whole, capacity, template.pad_id or 0):
        ids, weights = paths[number]
        found[number] = _seen(hits, ids, weights, texts)
    yield from (found[number] for number in range(len(trees)))


def _trees(row: Dialogue | Document, template: ChatTemplate, max_tokens: int) -> tuple[TokenTree, ...]:
    if isinstance(row, Document):
        return render_document(row, template, max_tokens).trees
    return render_dialogue(row, template, max_tokens).trees


@torch.no_grad()
def _hits(
    policy: CausalPolicy, trees: Sequence[TokenTree], capacity: int, filler: int
) -> Iterator[tuple[int, np.ndarray]]:
    """For each row by number, whether each of its tokens [tokens] is the likeliest behind those before it; the first never is."""
    device = next(policy.parameters()).device
    for batch in batches(trees, policy.batching, capacity, filler, device):
        hits = policy.logps(batch)[1].bool().cpu().numpy()
        at = 0
        for number in batch.items:
            size = len(trees[number]) - 1
            yield number, np.concatenate([[False], hits[at : at + size]])
            at += size


def _seen(hits: np.ndarray, ids: np.ndarray, weights: np.ndarray, texts: TokenTexts) -> Seen:
    spelled = [texts[int(token)].bytes or b"" for token in ids]
    ends = np.cumsum([len(part) for part in spelled])
    personal = []
    for place in places(b"".join(spelled)):
        first, last = np.searchsorted(ends, [place.start, place.end - 1], side="right")
        personal.append((place.kind, bool(hits[first : last + 1].all())))
    trained = weights > 0
    return Seen(_longest(hits & trained), int(trained.sum()), tuple(personal))


def _longest(hits: np.ndarray) -> int:
    """Length of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hits.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
