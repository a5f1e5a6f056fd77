"""The backend that decodes by itself: rows enter and leave a pool of slots, and no work is spent on rows that are done."""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from medicalgpt.errors import ServeError
from medicalgpt.generate.backends.base import StopCallback, require_grammars
from medicalgpt.generate.backends.decoder.pool import Pool, SequenceState
from medicalgpt.generate.backends.modes import attention_named, inference
from medicalgpt.generate.sampling import Sampling
from medicalgpt.kernels.known_tokens import KnownTokens, cut_head
from medicalgpt.kernels.onednn import keep_onednn_weights, onednn_weights
from medicalgpt.models.causal_lm import output_head, unwrap
from medicalgpt.models.context import context_of
from medicalgpt.structured.grammars import Grammars
from medicalgpt.structured.row import RowGrammar, require_whole

_WORTH_COPYING = (
    12  # steps after which copies in oneDNN's layout have paid for their making (0.7 ms a MB against 0.04 a step)
)


class Decoder:
    """Implements `Backend` for transformers models whose attention `select.backend_for` found to work with slots.

    Args:
        inference_only: the model's weights never change again.
    """

    def __init__(
        self,
        model: nn.Module,
        stop_ids: Sequence[int],
        known: KnownTokens | None = None,
        inference_only: bool = False,
    ) -> None:
        self.model = model
        self.inner = unwrap(model)
        self.stop_ids = list(stop_ids)
        self.known = known
        self.grammars: Grammars | None = None
        self._lock = threading.Lock()  # the attention function is set on the model: one call at a time
        self._lent = False
        self._to_keep = inference_only  # weights that are still to be laid out for good
        self._kept = False

    @property
    def context(self) -> int | None:
        """See `Backend.context`."""
        return context_of(self.inner.config)

    def run(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[Sequence[int]],
        *,
        batch_size: int = 1,
        ends: StopCallback | None = None,
    ) -> list[list[list[int]]]:
        """See `Backend.run`. Long prompts enter first; a prompt is computed once for all of its completions."""
        if self._lent:
            raise ServeError("this model answers through BatchingEngine; submit requests there, or close it first")
        flat = [(i, seed) for i, own in enumerate(seeds) for seed in own]
        rows = [
            SequenceState(n, prompts[i], random.Random(seed), sampling, grammar=self.grammar(prompts[i], sampling))
            for n, (i, seed) in enumerate(flat)
        ]
        try:
            with self.decoding(sampling.max_new_tokens >= _WORTH_COPYING):
                pool = self.pool(min(batch_size, len(rows)), ends)
                # Completions of one prompt stay together, so that its keys are needed for a short while only.
                pool.add(sorted(rows, key=lambda row: (-len(row.prompt), row.number)))
                while pool.busy:
                    pool.step()
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise _short_of_memory(prompts, batch_size, sampling) from error
        require_whole(row.grammar for row in rows)
        done = iter(rows)
        return [[next(done).tokens for _ in own] for own in seeds]

    def pool(self, size: int, ends: StopCallback | None = None) -> Pool:
        """An empty pool with so many slots, to be stepped while `decoding`."""
        return Pool(self.inner, self.stop_ids, size, ends, self.known)

    def grammar(self, prompt: Sequence[int], sampling: Sampling) -> RowGrammar | None:
        """What holds an answer to its constraint. Raises ServeError as `Grammars.require`."""
        return require_grammars(self).row(sampling.constraint, prompt) if sampling.constraint else None

    @contextmanager
    def decoding(self, pack: bool = True) -> Iterator[None]:
        """The model for this thread alone, ready for a pool; `pack` lays its weights out for speed, on a CPU."""
        head = output_head(self.inner)
        with (
            self._lock,
            inference(self.model),
            attention_named(self.inner, "slots"),
            self._weights(head, pack),
            cut_head(head, self.known),
        ):
            yield

    def make_ready(self) -> None:
        """Lay the weights out now, where the first answer would wait for that."""
        if self._to_keep:
            with self.decoding():
                pass

    def _weights(self, head: nn.Module | None, pack: bool) -> AbstractContextManager[object]:
        if pack and self._to_keep:
            self._to_keep = False
            self._kept = keep_onednn_weights(self.inner, head) > 0
        return onednn_weights(self.inner, head, self.known) if pack and not self._kept else nullcontext()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """`decoding` for as long as a server runs; `run` then refuses, where it would wait for ever."""
        with self.decoding():
            self._lent = True
            try:
                yield
            finally:
                self._lent = False


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out, on a GPU or not.

    torch has a class for a GPU's errors only: its CPU allocator raises a plain RuntimeError, known by its words alone.
    """
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def _short_of_memory(prompts: Sequence[Sequence[int]], batch_size: int, sampling: Sampling) -> ServeError:
    return ServeError(
        f"out of memory with {batch_size} answers at a time to prompts of up to {max(map(len, prompts))} tokens and "
        f"{sampling.max_new_tokens} new tokens each; lower the batch size or max_new_tokens"
    )
