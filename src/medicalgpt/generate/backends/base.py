"""What the engine asks of whoever runs the model: token ids in, token ids out."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from medicalgpt.errors import ServeError
from medicalgpt.generate.sampling import Sampling
from medicalgpt.structured.grammars import Grammars

StopCallback = Callable[[int, int], bool]
"""Asked for (row, new token) after each token that is no stop token; True ends that row after it.

Rows are completions, counted prompt by prompt.
"""


class Backend(Protocol):
    """Runs prompts in batches of its own making."""

    stop_ids: list[int]

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and answer together, or None where the model sets no limit."""
        ...

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[Sequence[int]],
        *,
        batch_size: int = 1,
        ends: StopCallback | None = None,
    ) -> list[list[list[int]]]:
        """New token ids of every completion of each prompt, up to and including the token that ended it.

        Args:
            prompts: token ids, none empty.
            seeds: for each prompt one seed per completion wanted; a completion depends on its own seed only.
            batch_size: completions that are made at the same time, at most.

        Raises:
            ServeError: the model gave numbers that cannot be sampled from, or memory ran out.
        """
        ...


@runtime_checkable
class Stepping(Protocol):
    """A backend that batches by itself: an answer joins and leaves while others are under way."""

    stop_ids: list[int]

    def join(self, prompt: Sequence[int], sampling: Sampling, seed: int, adapter: str = "") -> str:
        """Let one answer to a prompt take part from the next step on, by the adapter of that name; gives the answer's name.

        Raises:
            ServeError: it cannot be made.
        """
        ...

    def advance(self) -> list[tuple[str, Sequence[int], bool]]:
        """One step: for each answer that grew its name, its new tokens, and whether it is complete; then it has left."""
        ...

    def leave(self, names: Sequence[str]) -> None:
        """Take answers out that are not complete."""
        ...


@runtime_checkable
class Masking(Protocol):
    """A backend that can rule out tokens, so that answers keep a constraint."""

    grammars: Grammars | None
    """Set by the engine, which knows the tokenizer."""


@runtime_checkable
class Choosy(Protocol):
    """A backend that cannot do everything that `Sampling` says."""

    def check(self, sampling: Sampling) -> None:
        """Raises ServeError for settings that it would not keep."""
        ...


def require_grammars(backend: Masking) -> Grammars:
    """A backend's grammars; raises ServeError where none were set."""
    if backend.grammars is None:
        raise ServeError("this backend knows no tokenizer, which a constraint needs; ask it through an Engine")
    return backend.grammars
