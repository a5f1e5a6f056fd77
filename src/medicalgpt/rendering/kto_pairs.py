"""Prompts with the answers to other prompts: what KTO (arXiv 2402.01306) estimates its KL baseline on.

Who gets whose answer is decided once for the whole data set, from the data and the seed alone. So the pairing, and with it
the baseline, does not depend on how rows are packed, on the number of processes or on a resume, and reference
log-probabilities can be cached.
"""

from collections.abc import Sequence
from typing import overload

import numpy as np

from medicalgpt.errors import DataError
from medicalgpt.rendering.tree import Segment, TokenTree


class Mismatched(Sequence[TokenTree]):
    """Mismatched pairs, as TRL calls them: tree i is the prompt of `prompts[i]` with the answer of `answers[partners[i]]`.

    Args:
        prompts, answers: trees of a prompt and one answer each.
        partners: [len(prompts)] indices into `answers`.
        max_tokens: the answer is cut at its end so that prompt and answer have no more tokens.
    """

    def __init__(
        self, prompts: Sequence[TokenTree], answers: Sequence[TokenTree], partners: np.ndarray, max_tokens: int
    ) -> None:
        self.prompts, self.answers, self.partners, self.max_tokens = prompts, answers, partners, max_tokens

    def __len__(self) -> int:
        return len(self.prompts)

    @overload
    def __getitem__(self, i: int) -> TokenTree: ...
    @overload
    def __getitem__(self, i: slice) -> list[TokenTree]: ...
    def __getitem__(self, i: int | slice) -> TokenTree | list[TokenTree]:
        """A tree, built when it is asked for."""
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        own, other = self.prompts[i], self.answers[int(self.partners[i])].segments[1]
        prompt = own.segments[0]
        room = self.max_tokens - len(prompt)  # at least one token: the prompt came with an answer of its own
        return TokenTree((prompt, Segment(other.ids[:room], other.weights[:room], 0)), own.source)


def mismatch(trees: Sequence[TokenTree], max_tokens: int, seed: int) -> Mismatched:
    """Give every prompt of a set the answer to another prompt of it, each answer used once where that is possible.

    Raises:
        DataError: there is one prompt only.
    """
    prompts = [tree.segments[0].ids.tobytes() for tree in trees]
    if len(set(prompts)) < 2:
        raise DataError(
            "all rows have the same prompt; KTO compares with the answers to other prompts, so add rows with another one"
        )
    return Mismatched(trees, trees, _partners(prompts, seed), max_tokens)


def mismatch_held_out(
    held_out: Sequence[TokenTree], train: Sequence[TokenTree], max_tokens: int, seed: int
) -> Mismatched:
    """As `mismatch`; a held-out set of one prompt takes its answers from the training set, which does not have that prompt."""
    if len({tree.segments[0].ids.tobytes() for tree in held_out}) > 1:
        return mismatch(held_out, max_tokens, seed)
    partners = np.random.default_rng([seed, 11]).integers(len(train), size=len(held_out))
    return Mismatched(held_out, train, partners, max_tokens)


def _partners(prompts: Sequence[bytes], seed: int) -> np.ndarray:
    """For each row the number of a row with another prompt."""
    rng = np.random.default_rng([seed, 11])
    _, group = np.unique(np.asarray(prompts, dtype=object), return_inverse=True)
    sizes = np.bincount(group)
    rank = rng.permutation(len(sizes))
    # Rows with the same prompt stand together, so a turn by the largest group's size leaves every group.
    order = np.argsort(rank[group], kind="stable")
    partners = np.empty(len(order), np.int64)
    partners[order] = np.roll(order, -int(sizes.max()))
    for i in np.flatnonzero(group[partners] == group):  # one prompt has more than half of all rows
        partners[i] = rng.choice(np.flatnonzero(group != group[i]))
    return partners
