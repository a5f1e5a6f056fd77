"""What the engine asks of whoever runs the model: token ids in, token ids out."""

from collections.abc import Callable, Sequence
from typing import Protocol

from medicalgpt.generate.sampling import Sampling

Ends = Callable[[int, int], bool]
"""Asked for (row, new token) after each token that is no stop token; True ends that row after it."""


class Backend(Protocol):
    """Runs one batch of prompts."""

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and answer together, or None where the model sets no limit."""
        ...

    @property
    def pads(self) -> bool:
        """Whether prompts of different lengths may share a batch."""
        ...

    def run(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int], ends: Ends | None = None
    ) -> list[list[int]]:
        """New token ids of each prompt, up to and including the token that ended it.

        Args:
            prompts: token ids, none empty.
            seeds: one for each prompt; an answer depends on its own seed only.

        Raises:
            ServeError: the model gave numbers that cannot be sampled from, or memory ran out.
        """
        ...
