"""The backend that runs `model.generate` of transformers."""

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from medicalgpt.errors import ServeError
from medicalgpt.generate.backends.adjust import adjust, keep_likely
from medicalgpt.generate.backends.base import StopCallback, require_grammars
from medicalgpt.generate.backends.decoder.draw import check_numbers, invert
from medicalgpt.generate.backends.modes import inference, own_attention, own_settings_aside
from medicalgpt.generate.backends.padding import GENERATE, takes_padding
from medicalgpt.generate.sampling import Sampling
from medicalgpt.kernels.known_tokens import KnownTokens
from medicalgpt.models.causal_lm import device_of, unwrap
from medicalgpt.models.context import context_of
from medicalgpt.structured.grammars import Grammars
from medicalgpt.structured.row import RowGrammar, mask, require_whole


class TransformersBackend:
    """Implements `Backend` for a transformers causal LM, with or without adapters, also in the midst of training."""

    def __init__(
        self, model: nn.Module, stop_ids: Sequence[int], pad_id: int, known: KnownTokens | None = None
    ) -> None:
        self.model, self.known = model, known
        self.inner = unwrap(model)
        self.stop_ids = list(stop_ids)
        self.pad_id = pad_id
        self.grammars: Grammars | None = None
        self._lock = threading.Lock()  # generation settings lie on the model: one call at a time

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
        """See `Backend.run`. Completions of one prompt are computed apart; prompts of similar length share a batch."""
        rows = [prompt for prompt, own in zip(prompts, seeds) for _ in own]
        flat = [seed for own in seeds for seed in own]
        lengths = [len(row) for row in rows]
        # Recurrent models read padding as text, so their prompts of one batch must have one length.
        pads = batch_size == 1 or len(set(lengths)) == 1 or takes_padding(self.model, self.pad_id)
        done: dict[int, list[int]] = {}
        for batch in _batches(lengths, batch_size, pads):
            answers = self._batch([rows[i] for i in batch], sampling, [flat[i] for i in batch], _numbered(ends, batch))
            done.update(zip(batch, answers))
        ordered = iter([done[i] for i in range(len(rows))])
        return [[next(ordered) for _ in own] for own in seeds]

    def _batch(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int], ends: StopCallback | None
    ) -> list[list[int]]:
        device = device_of(self.model)
        generate: Callable[..., torch.Tensor] = getattr(self.model, GENERATE)
        width = max(len(ids) for ids in prompts)
        # [B, T], padded on the left, so that the next token stands behind every prompt
        inputs = torch.tensor([[self.pad_id] * (width - len(ids)) + list(ids) for ids in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts], device=device)
        watch = _Watch(ends, self.stop_ids, len(prompts)) if ends else None
        written = _Adjust([_Row(sampling, prompt) for prompt in prompts], width, self.stop_ids)
        held = [require_grammars(self).row(sampling.constraint, p) for p in prompts] if sampling.constraint else []
        lengths = watch.lengths if watch else {}
        held_to = [_Grammar(held, lengths)] if held else []
        processors = [*held_to, *_processors(sampling, seeds, self.known, written)]
        with (
            self._lock,
            inference(self.model),
            own_attention(self.inner),
            own_settings_aside(self.model, self.inner),
        ):
            try:
                out = generate(
                    input_ids=inputs,
                    attention_mask=mask,
                    generation_config=self._settings(sampling),
                    logits_processor=LogitsProcessorList(processors),
                    stopping_criteria=StoppingCriteriaList([watch] if watch else []),
                )
            except torch.OutOfMemoryError as error:
                raise ServeError(
                    f"out of memory with {len(prompts)} prompts of up to {width} tokens and "
                    f"{sampling.max_new_tokens} new tokens each; lower the batch size or max_new_tokens"
                ) from error
        require_whole(held)
        rows = out[:, width:].tolist()
        return [row[: lengths[i]] if i in lengths else self._cut(row) for i, row in enumerate(rows)]

    def _settings(self, sampling: Sampling) -> GenerationConfig:
        # Tokens are penalized and drawn by the processors; what is left for `generate` is to take the largest.
        return GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            do_sample=False,
            use_cache=True,
            eos_token_id=self.stop_ids,
            pad_token_id=self.pad_id,
        )

    def _cut(self, row: list[int]) -> list[int]:
        """A row up to and including its first stop token; behind it `generate` pads."""
        end = next((i for i, token in enumerate(row) if token in self.stop_ids), None)
        return row if end is None else row[: end + 1]


def _numbered(ends: StopCallback | None, batch: Sequence[int]) -> StopCallback | None:
    """`ends` asked with the number that a row of a batch has among all rows."""
    return None if ends is None else lambda row, token: ends(batch[row], token)


def _batches(lengths: Sequence[int], size: int, pads: bool) -> Iterator[list[int]]:
    """Indices of prompts that share a batch: of similar length, or of one length where padding is not allowed."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) == size or (not pads and lengths[i] != lengths[batch[0]])):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


class _Watch(StoppingCriteria):
    """Asks `ends` about every new token and remembers after how many a row was ended."""

    def __init__(self, ends: StopCallback, stop_ids: Sequence[int], rows: int) -> None:
        self.ends = ends
        self.stop_ids = frozenset(stop_ids)
        self.open = set(range(rows))
        self.lengths: dict[int, int] = {}
        self.steps = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: object) -> torch.Tensor:
        self.steps += 1
        tokens = input_ids[:, -1].tolist()
        for row in sorted(self.open):
            if tokens[row] in self.stop_ids:
                self.open.discard(row)
            elif self.ends(row, tokens[row]):
                self.open.discard(row)
                self.lengths[row] = self.steps
        done = [row not in self.open for row in range(len(tokens))]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)


def _processors(
    sampling: Sampling, seeds: Sequence[int], known: KnownTokens | None, written: "_Adjust"
) -> Iterator[LogitsProcessor]:
    if known is not None:
        yield _Known(known)
    yield _Numbers()
    if sampling.adjusts:
        yield written
    if sampling.greedy:
        return
    yield TemperatureLogitsWarper(float(sampling.temperature))
    if sampling.min_p:
        yield _Likely(sampling.min_p)
    if sampling.top_k:
        yield TopKLogitsWarper(sampling.top_k)
    if sampling.top_p < 1:
        yield TopPLogitsWarper(float(sampling.top_p))
    yield _Draw(seeds)


class _Known(LogitsProcessor):
    """Leaves the ids that stand for a token; what comes behind sees narrower scores."""

    def __init__(self, known: KnownTokens) -> None:
        self.known = known

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return self.known.drawable(scores)


class _Numbers(LogitsProcessor):
    """Refuses NaN, of which the largest would be token 0 or any other."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        check_numbers(scores.amax(-1))
        return scores


@dataclass
class _Row:
    """Implements `Written`."""

    sampling: Sampling
    prompt: Sequence[int]
    tokens: list[int] = field(default_factory=list)

    @property
    def seen(self) -> list[int]:
        return list(dict.fromkeys([*self.prompt, *self.tokens]))


class _Adjust(LogitsProcessor):
    """Bias, penalties and least length of the rows. Padding before a prompt, which `generate`'s own would count, has no part."""

    def __init__(self, rows: Sequence[_Row], width: int, stop_ids: Sequence[int]) -> None:
        self.rows, self.width, self.stop_ids = rows, width, stop_ids

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for row, tokens in zip(self.rows, input_ids[:, self.width :].tolist()):
            row.tokens = tokens
        scores = scores.clone()
        adjust(scores, self.rows, self.stop_ids)
        return scores


class _Likely(LogitsProcessor):
    """Leaves tokens that are likely enough beside the likeliest."""

    def __init__(self, min_p: float) -> None:
        self.min_p = min_p

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return keep_likely(scores, self.min_p)


class _Grammar(LogitsProcessor):
    """Rules out what the rows' grammars do not allow; `ended` has the rows that a stop text ended."""

    def __init__(self, rows: Sequence[RowGrammar], ended: Mapping[int, int]) -> None:
        self.rows, self.ended = rows, ended
        self.begun = False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        open_rows = {i: row for i, row in enumerate(self.rows) if i not in self.ended and not row.over}
        if self.begun:
            tokens = input_ids[:, -1].tolist()
            for i, row in open_rows.items():
                row.take(tokens[i])
        self.begun = True
        mask(scores, {i: row for i, row in open_rows.items() if not row.over})
        return scores


class _Draw(LogitsProcessor):
    """Draws a token by inverse transform and leaves it alone in the row.

    One uniform number a token comes from the row's own generator. So an answer is the same in any batch (up to rounding
    of the logits), and no global random state is read or moved.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.randoms = [random.Random(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        uniform = torch.tensor([[r.random()] for r in self.randoms], dtype=torch.float64, device=scores.device)
        drawn = invert(torch.softmax(scores.double(), -1), uniform)
        return torch.full_like(scores, float("-inf")).scatter(1, drawn, 0.0)
